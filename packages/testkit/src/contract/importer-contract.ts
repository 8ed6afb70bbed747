/**
 * Importer contract: what every driver that reaches other people's memory has to do, tried out.
 *
 * The suite knows of the driver only what its check says: how one use of a buffer begins and, if it keeps
 * hold of buffers, how it lets go. Everything else is seen from outside: what the user gets, what is left.
 */
import type { ImporterDriver, PeerbufError } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { Contract, ContractCheck } from "./contract.ts";
import { lightWorld, type OpenWorld } from "./contract-world.ts";
import { withoutDma } from "./dma-refusing-platform.ts";
import type { ImporterCheck } from "./driver-check.ts";
import { troubleChecks } from "./importer-trouble.ts";
import { BUFFER_BYTES, ImporterUnderTest, MOMENTS, type Parties } from "./importer-under-test.ts";
import { partnerCard } from "./partner-card.ts";
import { difference, later, NotClaimed, patternOf, Stopped } from "./session.ts";

const USES = 12;
const LATE_NS = 1_000_000;

export function importerContract<Options, Api>(
  driver: ImporterDriver<Options, Api>,
  check: ImporterCheck<Options, Api>,
  open: OpenWorld = lightWorld,
): Contract {
  const suite = new ImporterSuite(driver, check, open);
  return { subject: `importer "${driver.name}"`, checks: suite.checks() };
}

class ImporterSuite<Options, Api> extends ImporterUnderTest<Options, Api> {
  checks(): ContractCheck[] {
    return [...this.#plain(), ...this.#refusals(), ...this.#motion(), ...troubleChecks(this)];
  }

  #plain(): ContractCheck[] {
    return [
      this.checkOf("one use in each direction succeeds", ["IMP-030"], {}, async (parties) => {
        for (const direction of this.directions) {
          await this.fullUse(parties, direction);
        }
      }),
      this.checkOf(
        "a device that only reads leaves the bytes alone",
        ["IMP-030", "IMP-021"],
        {},
        (parties) => this.#leavesBytes(parties),
      ),
      this.checkOf(
        "a buffer that was redirected is used as any other",
        ["IMP-034"],
        { attach: "redirect" },
        (parties) => this.fullUse(parties, this.direction),
      ),
      this.checkOf(
        "memory of a peer is used as any other, or declined",
        ["IMP-030", "IMP-023"],
        {},
        (parties) => this.#peerUse(parties),
      ),
      this.checkOf("uses can be repeated", ["IMP-038"], {}, async (parties) => {
        const buffer = parties.exporter.allocate(BUFFER_BYTES);
        for (let use = 0; use < USES; use++) {
          const direction = this.directions[use % this.directions.length] ?? "to-device";
          await this.use(parties, buffer, direction);
        }
        await this.end(parties, buffer);
      }),
      this.checkOf("two buffers are used at once", ["IMP-039"], {}, async (parties) => {
        const buffers = [1, 2].map(() => parties.exporter.allocate(BUFFER_BYTES));
        const uses = buffers.map((buffer) => later(this.begin(parties, buffer, this.direction)));
        await parties.session.inTime(Promise.all(uses), "two uses at once");
        for (const buffer of [...buffers, ...buffers]) {
          await this.use(parties, buffer, this.direction, "IMP-039");
        }
        for (const buffer of buffers) {
          await this.end(parties, buffer);
        }
      }),
      this.checkOf(
        "bytes that arrive late are waited for",
        ["IMP-037", "IMP-022"],
        { lateNs: LATE_NS },
        async (parties) => {
          const buffer = parties.exporter.allocate(BUFFER_BYTES);
          await this.use(parties, buffer, this.direction);
          const isThere = parties.exporter.api.arrival?.isSignaled ?? true;
          parties.session.demand(
            "IMP-037",
            isThere,
            "the use was over before the bytes were there",
          );
          await this.end(parties, buffer);
        },
      ),
    ];
  }

  #refusals(): ContractCheck[] {
    const refused = (rule: RuleId, code: PeerbufError["code"]) => async (parties: Parties<Api>) => {
      const { session, exporter } = parties;
      const buffer = exporter.allocate(BUFFER_BYTES);
      const refusal = await session.refusal(
        () => this.begin(parties, buffer, this.direction),
        "a use",
      );
      session.demand(
        rule,
        refusal?.code === code || isPinRefusal(refusal, code),
        `the user got ${refusal?.code ?? "no refusal"}, not ${code}`,
      );
      await this.letGo(parties, buffer);
      await session.rest();
      const left = buffer.attachments.length;
      session.demand(rule, left === 0, `${left} attachments are left after a refusal`);
      buffer.close();
    };
    return [
      this.checkOf(
        "a refused attachment leaves nothing",
        ["IMP-031"],
        { attach: "decline" },
        refused("IMP-031", "NO_COMMON_TYPE"),
      ),
      this.checkOf(
        "a refused map leaves nothing",
        ["IMP-032"],
        { place: "decline" },
        refused("IMP-032", "MAP_DECLINED"),
      ),
      this.checkOf(
        "a refusal of the DMA layer leaves nothing",
        ["IMP-033"],
        {},
        refused("IMP-033", "MAP_DECLINED"),
        { platformOf: withoutDma },
      ),
    ];
  }

  #motion(): ContractCheck[] {
    return [
      this.checkOf(
        "after a move the next use reaches the bytes",
        ["IMP-035", "IMP-014", "IMP-017"],
        {},
        async (parties) => {
          const buffer = parties.exporter.allocate(BUFFER_BYTES);
          for (const direction of this.directions) {
            await this.use(parties, buffer, direction);
            parties.exporter.api.move();
            await this.use(parties, buffer, direction);
          }
          parties.exporter.api.move();
          await this.demandLetGo(parties, buffer, "after a move");
          await this.end(parties, buffer);
        },
      ),
      this.checkOf(
        "a move in the middle of a use ends well",
        ["IMP-035", "IMP-016", "IMP-041"],
        {},
        async (parties) => {
          for (const ticks of MOMENTS) {
            const buffer = parties.exporter.allocate(BUFFER_BYTES);
            this.witness(buffer);
            const using = later(this.begin(parties, buffer, this.direction));
            await parties.session.ticks(ticks);
            parties.exporter.api.move();
            await parties.session.inTime(using, "a use while the buffer moves");
            await this.demandLetGo(parties, buffer, "after the use in which the buffer moved");
            parties.exporter.api.move();
            await this.end(parties, buffer);
          }
        },
      ),
      this.checkOf("a revocation ends its uses and nothing else", ["IMP-036"], {}, (parties) =>
        this.#revoked(parties),
      ),
      this.checkOf(
        "a revocation in the middle of a use ends, and so does the use",
        ["IMP-036", "IMP-017"],
        {},
        async (parties) => {
          for (const ticks of MOMENTS) {
            await this.#revokedMidway(parties, ticks);
          }
        },
      ),
    ];
  }

  async #peerUse(parties: Parties<Api>): Promise<void> {
    const { framework, world } = parties.session;
    if (world.home === undefined) {
      throw new NotClaimed("this world has no device whose memory could be shared");
    }
    const card = framework.openExporter(partnerCard, world.home, undefined);
    const buffer = card.allocate(BUFFER_BYTES);
    const refused = await parties.session.refusal(
      () => this.begin(parties, buffer, this.direction),
      "a use of peer memory",
    );
    await this.end(parties, buffer);
    card.close();
    if (refused !== undefined) {
      throw new NotClaimed(`it does not take memory of a peer: ${refused.code}`);
    }
  }

  async #leavesBytes(parties: Parties<Api>): Promise<void> {
    if (!this.directions.includes("to-device")) {
      return;
    }
    const { session, exporter } = parties;
    const buffer = exporter.allocate(BUFFER_BYTES);
    await session.inTime(buffer.write(0, patternOf(1, BUFFER_BYTES)), "a write by the CPU");
    await session.inTime(this.begin(parties, buffer, "to-device"), "a use to-device");
    const bytes = await session.inTime(buffer.read(0, BUFFER_BYTES), "a read by the CPU");
    const wrong = difference(bytes, patternOf(1, BUFFER_BYTES));
    session.demand("IMP-030", wrong === undefined, `a use to-device changed the buffer: ${wrong}`);
    await this.end(parties, buffer);
  }

  async #revoked(parties: Parties<Api>): Promise<void> {
    const { session, exporter } = parties;
    const buffer = exporter.allocate(BUFFER_BYTES);
    await this.use(parties, buffer, this.direction);
    const revocation = later(exporter.api.revoke());
    await session.rest();
    const refusal = await session.refusal(
      () => this.begin(parties, buffer, this.direction),
      "a use",
    );
    const text = `a use of a revoked buffer: ${refusal?.code ?? "went through"}`;
    session.demand("IMP-036", refusal?.code === "DEVICE_GONE", text);
    await this.letGo(parties, buffer);
    await session.inTime(revocation, "a revocation, which waits for the last unmap,");
    exporter.api.restore();
    buffer.close();
    await this.fullUse(parties, this.direction);
  }

  async #revokedMidway(parties: Parties<Api>, ticks: number): Promise<void> {
    const { session, exporter } = parties;
    const buffer = exporter.allocate(BUFFER_BYTES);
    const using = later(this.begin(parties, buffer, this.direction));
    await session.ticks(ticks);
    const revocation = later(exporter.api.revoke());
    await session.refusal(() => using, "a use whose buffer is revoked");
    await session.rest();
    await this.letGo(parties, buffer);
    const left = buffer.attachments.filter(({ mappingCount }) => mappingCount > 0).length;
    session.demand("IMP-017", left === 0, `${left} mappings are still held after a revocation`);
    if (left > 0) {
      throw new Stopped();
    }
    await session.inTime(revocation, "a revocation, which waits for the last unmap,");
    exporter.api.restore();
    await this.end(parties, buffer);
  }
}

/** Who pins before it maps is refused there. */
const isPinRefusal = (refusal: PeerbufError | undefined, code: PeerbufError["code"]): boolean =>
  code === "MAP_DECLINED" && refusal?.code === "PIN_DECLINED";
