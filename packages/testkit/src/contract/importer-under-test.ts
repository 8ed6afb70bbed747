/**
 * Importer under test: a driver that is opened on a fresh world for each check, beside a partner that owns memory.
 */
import type { Direction, DmaBuf, ImporterDriver, Opened, OpenedExporter } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { ContractCheck } from "./contract.ts";
import type { OpenWorld } from "./contract-world.ts";
import type { ImporterCheck } from "./driver-check.ts";
import { type PartnerApi, type PartnerMood, partnerExporter } from "./partner-exporter.ts";
import { type Session, type SessionOptions, Stopped, sessionCheck } from "./session.ts";

export const BUFFER_BYTES: number = 4 * 4096;
const DIRECTIONS: readonly Direction[] = ["to-device", "from-device"];

/** The parties of one check. */
export interface Parties<Api> {
  readonly session: Session;
  readonly exporter: OpenedExporter<PartnerApi>;
  readonly opened: Opened<Api>;
}

export class ImporterUnderTest<Options, Api> {
  readonly #driver: ImporterDriver<Options, Api>;
  readonly #check: ImporterCheck<Options, Api>;
  readonly #open: OpenWorld;

  constructor(
    driver: ImporterDriver<Options, Api>,
    check: ImporterCheck<Options, Api>,
    open: OpenWorld,
  ) {
    this.#driver = driver;
    this.#check = check;
    this.#open = open;
  }

  get directions(): readonly Direction[] {
    return this.#check.directions ?? DIRECTIONS;
  }

  /** The first of them. */
  get direction(): Direction {
    return this.directions[0] ?? "to-device";
  }

  async fullUse(parties: Parties<Api>, direction: Direction): Promise<void> {
    const buffer = parties.exporter.allocate(BUFFER_BYTES);
    await this.use(parties, buffer, direction);
    await this.end(parties, buffer);
  }

  /** A use that may throw at once or later. */
  async begin(
    { session, opened }: Parties<Api>,
    buffer: DmaBuf,
    direction: Direction,
  ): Promise<void> {
    const [client = ""] = session.world.clients;
    const actor = this.#driver.needsDevice ? `${this.#driver.name}@${client}` : this.#driver.name;
    await session.task(actor, () => this.#check.start(opened.api, buffer, direction));
  }

  async use(parties: Parties<Api>, buffer: DmaBuf, direction: Direction): Promise<void> {
    await parties.session.inTime(this.begin(parties, buffer, direction), `a use ${direction}`);
  }

  async letGo({ session, opened }: Parties<Api>, buffer: DmaBuf): Promise<void> {
    await session.inTime(this.#check.stop?.(opened.api, buffer), "letting go of a buffer");
  }

  async end(parties: Parties<Api>, buffer: DmaBuf): Promise<void> {
    await this.letGo(parties, buffer);
    await parties.session.rest();
    const left = buffer.attachments.length;
    if (left > 0) {
      const text = `keeps ${left} attachments when its uses are over`;
      parties.session.demand("IMP-025", false, text);
      throw new Stopped();
    }
    buffer.close();
  }

  checkOf(
    name: string,
    rules: readonly RuleId[],
    mood: PartnerMood,
    body: (parties: Parties<Api>) => Promise<void>,
    more: Omit<SessionOptions, "open"> = {},
  ): ContractCheck {
    const options = { open: this.#open, ...more };
    return sessionCheck(name, rules, this.#driver.name, options, async (session) => {
      const { framework, world } = session;
      const exporter = framework.openExporter(partnerExporter, undefined, mood);
      const place = this.#driver.needsDevice ? world.clients[0] : undefined;
      const opened = framework.openImporter(this.#driver, place, this.#check.options as Options);
      await body({ session, exporter, opened });
      opened.close();
      await session.inTime(framework.idle(), "the end of the last work");
      exporter.close();
    });
  }
}
