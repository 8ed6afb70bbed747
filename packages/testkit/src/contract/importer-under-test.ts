/**
 * Importer under test: a driver that is opened on a fresh world for each check, beside a partner that owns memory.
 */
import {
  type Direction,
  type DmaBuf,
  deviceReads,
  deviceWrites,
  type ImporterDriver,
  NegotiationError,
  type Opened,
  type OpenedExporter,
} from "@peerbuf/core";
import { messageOf } from "../checker/fence-book.ts";
import type { RuleId } from "../rules/rule.ts";
import type { CheckResult, ContractCheck } from "./contract.ts";
import type { OpenWorld } from "./contract-world.ts";
import type { ImporterCheck } from "./driver-check.ts";
import { type PartnerApi, type PartnerMood, partnerExporter } from "./partner-exporter.ts";
import {
  difference,
  NotClaimed,
  patternOf,
  type Session,
  type SessionOptions,
  Stopped,
  sessionCheck,
} from "./session.ts";
import { Witness } from "./witness.ts";

export const BUFFER_BYTES: number = 4 * 4096;
/** When a move or a revocation comes: so many turns of the event loop after the use began. */
export const MOMENTS: readonly number[] = [0, 1, 2, 4, 8];
const DIRECTIONS: readonly Direction[] = ["to-device", "from-device"];

/** The parties of one check. */
export interface Parties<Api> {
  readonly session: Session;
  readonly exporter: OpenedExporter<PartnerApi>;
  readonly opened: Opened<Api>;
}

/** What one use did to the buffer, judged in the moment in which it said that it was over. */
interface Ended {
  readonly answer: unknown;
  /** Work that was not over. */
  readonly running: string | undefined;
}

export class ImporterUnderTest<Options, Api> {
  readonly #witnesses = new WeakMap<DmaBuf, Witness>();
  #uses = 0;
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

  /** Does it keep hold of buffers between uses? */
  get keepsBuffers(): boolean {
    return this.#check.stop !== undefined;
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
  ): Promise<unknown> {
    const [client = ""] = session.world.clients;
    const actor = this.#driver.needsDevice ? `${this.#driver.name}@${client}` : this.#driver.name;
    return await session.task(actor, () => this.#check.start(opened.api, buffer, direction));
  }

  /** A whole use: when it says that it is over, it is, and every byte is where it belongs. */
  async use(
    parties: Parties<Api>,
    buffer: DmaBuf,
    direction: Direction,
    rule: RuleId = "IMP-044",
  ): Promise<void> {
    const { session } = parties;
    const witness = this.witness(buffer);
    const bytes = patternOf(++this.#uses, buffer.sizeBytes);
    if (deviceReads(direction)) {
      await session.inTime(buffer.write(0, bytes), "a write by the CPU");
    }
    const reached = witness.reached;
    const ended = await session.inTime(
      this.#toItsEnd(parties, buffer, direction),
      `a use ${direction}`,
    );
    const isReached = witness.reached > reached || buffer.attachments.length > 0;
    session.demand(rule, isReached, "a use ends well and never came near the buffer");
    const { running, answer } = ended;
    session.demand(rule, running === undefined, `a use says that it is over, and ${running} runs`);
    if (answer instanceof Uint8Array && answer.length === buffer.sizeBytes) {
      await this.#compare(session, buffer, direction, { answer, bytes, rule });
    }
  }

  async #toItsEnd(parties: Parties<Api>, buffer: DmaBuf, direction: Direction): Promise<Ended> {
    const witness = this.witness(buffer);
    const before = witness.fences.length;
    const answer = await this.begin(parties, buffer, direction);
    const fence = witness.fences.slice(before).find((each) => !each.isSignaled);
    const running = fence && `the work of ${fence.driverName} on ${fence.timelineName}`;
    return { answer, running };
  }

  /** A driver that answers with as many bytes as the buffer has says what its device has read or written. */
  async #compare(
    session: Session,
    buffer: DmaBuf,
    direction: Direction,
    { answer, bytes, rule }: { answer: Uint8Array; bytes: Uint8Array; rule: RuleId },
  ): Promise<void> {
    if (!deviceWrites(direction)) {
      const wrong = difference(answer, bytes);
      session.demand(rule, wrong === undefined, `what the device has read is not there: ${wrong}`);
    } else if (!deviceReads(direction)) {
      const found = await session.inTime(buffer.read(0, answer.length), "a read by the CPU");
      const wrong = difference(found, answer);
      session.demand(
        rule,
        wrong === undefined,
        `what the device has written is not there: ${wrong}`,
      );
    }
  }

  /** The same one for a buffer each time. */
  witness(buffer: DmaBuf): Witness {
    const known = this.#witnesses.get(buffer);
    const witness = known ?? new Witness(buffer);
    this.#witnesses.set(buffer, witness);
    return witness;
  }

  /** Long after the importer was told: what was invalidated is unmapped. */
  async demandLetGo({ session }: Parties<Api>, buffer: DmaBuf, when: string): Promise<void> {
    await session.rest();
    const { heldStale } = this.witness(buffer);
    session.demand("IMP-017", heldStale === 0, `still holds ${heldStale} stale mappings ${when}`);
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

  /** On memory in pieces; for an importer that declines those, once more on memory in one. */
  checkOf(
    name: string,
    rules: readonly RuleId[],
    mood: PartnerMood,
    body: (parties: Parties<Api>) => Promise<void>,
    more: Omit<SessionOptions, "open"> = {},
  ): ContractCheck {
    const declined = { it: false };
    const orDeclined = async (parties: Parties<Api>): Promise<void> => {
      try {
        await body(parties);
      } catch (error) {
        declined.it = error instanceof NegotiationError;
        throw declined.it ? new NotClaimed(messageOf(error)) : error;
      }
    };
    const inPieces = this.#checkOn(name, rules, mood, orDeclined, more);
    const inOne = this.#checkOn(name, rules, { ...mood, isOnePiece: true }, body, more);
    const run = async (): Promise<CheckResult> => {
      declined.it = false;
      const result = await inPieces.run();
      return declined.it && result.violations.length === 0 ? await inOne.run() : result;
    };
    return { name, rules, run };
  }

  #checkOn(
    name: string,
    rules: readonly RuleId[],
    mood: PartnerMood,
    body: (parties: Parties<Api>) => Promise<void>,
    more: Omit<SessionOptions, "open">,
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
