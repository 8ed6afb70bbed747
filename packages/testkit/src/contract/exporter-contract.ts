/**
 * Exporter contract: what every driver that owns memory has to do, tried out.
 */
import {
  type Attachment,
  DMA,
  type ExporterDriver,
  type Mapping,
  NegotiationError,
  P2P,
} from "@peerbuf/core";
import type { Contract, ContractCheck } from "./contract.ts";
import { lightWorld, type OpenWorld } from "./contract-world.ts";
import type { ExporterCheck } from "./driver-check.ts";
import { bracketChecks } from "./exporter-brackets.ts";
import { byteChecks } from "./exporter-bytes.ts";
import { copyChecks } from "./exporter-copies.ts";
import { motionChecks } from "./exporter-motion.ts";
import { revocationChecks } from "./exporter-revocation.ts";
import { scarcityChecks } from "./exporter-scarcity.ts";
import { troubleChecks } from "./exporter-trouble.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
} from "./exporter-under-test.ts";
import { varietyChecks } from "./exporter-variety.ts";

const REPEATS = 12;

export function exporterContract<Options, Api>(
  driver: ExporterDriver<Options, Api>,
  check: ExporterCheck<Options, Api> = {},
  open: OpenWorld = lightWorld,
): Contract {
  const tested = { driver, check, open };
  const checks = [
    ...shapeChecks(tested),
    ...varietyChecks(tested),
    ...byteChecks(tested),
    ...bracketChecks(tested),
    ...motionChecks(tested),
    ...copyChecks(tested),
    ...revocationChecks(tested),
    ...troubleChecks(tested),
    ...scarcityChecks(tested),
  ];
  return { subject: `exporter "${driver.name}"`, checks };
}

function shapeChecks<Options, Api>(tested: ExporterUnderTest<Options, Api>): ContractCheck[] {
  const { wishes = {} } = tested.check;
  return [
    exporterCheck(
      tested,
      "a buffer is allocated, attached, mapped and given back",
      ["EXP-021", "EXP-001", "EXP-006", "EXP-007", "EXP-008", "EXP-011", "EXP-012"],
      async (session, exporter) => {
        const buffer = exporter.allocate(BUFFER_BYTES, wishes);
        const attachment = buffer.attach(session.probe(0, "movable"));
        const mapping = mappedSomehow(attachment);
        await arrived(session, mapping);
        letGo(buffer, attachment, mapping);
        const next = exporter.allocate(BUFFER_BYTES, wishes);
        const refused = await session.refusal(() => {
          next.attach(session.probe(0, "movable")).detach();
        }, "an attach");
        next.close();
        const text = `a second buffer is refused: ${refused?.message}`;
        session.demand("EXP-042", refused === undefined, text);
      },
    ),
    exporterCheck(
      tested,
      "a wish that it does not know is refused by name",
      ["EXP-004"],
      async (session, exporter) => {
        const unknown = { ...wishes, "no-such-wish-of-the-kit": 1 };
        const refused = await session.refusal(
          () => exporter.allocate(BUFFER_BYTES, unknown).close(),
          "an allocation",
        );
        session.demand("EXP-004", refused !== undefined, "took a wish that nobody knows");
      },
    ),
    exporterCheck(
      tested,
      "attaching, mapping and unmapping again gives the same answer",
      ["EXP-042", "EXP-025"],
      async (session, exporter) => {
        const buffer = exporter.allocate(BUFFER_BYTES, wishes);
        const answers = new Set<string>();
        for (let round = 0; round < REPEATS; round++) {
          const attachment = buffer.attach(session.probe(round % 2, "movable", BOTH));
          const mapping = attachment.map("to-device");
          await arrived(session, mapping);
          answers.add(`${mapping.type.name} in ${mapping.target} memory`);
          mapping.unmap();
          attachment.detach();
        }
        buffer.close();
        const text = `answered ${[...answers].join(", then ")}`;
        session.demand("EXP-042", answers.size === 1, text);
      },
    ),
  ];
}

/** In the first direction that the driver serves: some memory is only for reading. */
function mappedSomehow(attachment: Attachment): Mapping {
  try {
    return attachment.map("bidirectional");
  } catch (error) {
    if (!(error instanceof NegotiationError)) {
      throw error;
    }
    return attachment.map("to-device");
  }
}

const BOTH = [{ type: P2P }, { type: DMA }];
