/**
 * Importer trouble: its device fails, its user leaves too early, memory lies where 32 bits do not reach.
 */
import type { Direction } from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  BUFFER_BYTES,
  type ImporterUnderTest,
  MOMENTS,
  type Parties,
} from "./importer-under-test.ts";
import { later, NotClaimed } from "./session.ts";

export function troubleChecks<Options, Api>(
  tested: ImporterUnderTest<Options, Api>,
): ContractCheck[] {
  return [
    tested.checkOf(
      "a failure of the device reaches the user",
      ["IMP-042", "SYN-021", "SYN-002"],
      {},
      async (parties) => {
        for (const direction of tested.directions) {
          await fails(tested, parties, direction);
        }
      },
    ),
    tested.checkOf(
      "letting go in the middle of a use ends well",
      ["IMP-028", "IMP-010", "IMP-025"],
      {},
      async (parties) => {
        if (!tested.keepsBuffers) {
          throw new NotClaimed("it keeps hold of nothing: its check has no stop");
        }
        for (const ticks of MOMENTS) {
          await leaves(tested, parties, ticks);
        }
      },
    ),
    tested.checkOf(
      "addresses around 4 GiB are used as any other, or declined",
      ["IMP-044", "IMP-016"],
      {},
      (parties) => high(tested, parties),
      { wishes: { isHigh: true } },
    ),
  ];
}

/** Each job of its device ends with an error, however often it tries again. */
async function fails<Options, Api>(
  tested: ImporterUnderTest<Options, Api>,
  parties: Parties<Api>,
  direction: Direction,
): Promise<void> {
  const { session, exporter } = parties;
  const { world } = session;
  if (world.failWork === undefined) {
    throw new NotClaimed("this world has no engine whose work could fail");
  }
  const buffer = exporter.allocate(BUFFER_BYTES);
  const { fences } = tested.witness(buffer);
  const failedBefore = world.failWork(true);
  const refusal = await session.refusal(
    () => tested.begin(parties, buffer, direction),
    "a use whose device fails",
  );
  const hasFailed = world.failWork(false) > failedBefore;
  await session.rest();
  const isSignaled = fences.every((fence) => fence.isSignaled);
  session.demand("SYN-002", isSignaled, "its device failed, and a fence of the use never signals");
  const isTold = refusal !== undefined || !hasFailed;
  session.demand("IMP-042", isTold, `its device failed, and a use ${direction} ended well`);
  const isMarked = fences.length === 0 || fences.some(({ error }) => error !== undefined);
  const text = "its device failed, and no fence of the use carries an error";
  session.demand("SYN-021", isMarked || !hasFailed || !isSignaled, text);
  await tested.end(parties, buffer);
}

/** Its user lets go while a use runs: that may wait for the use, or be refused, and end it early. */
async function leaves<Options, Api>(
  tested: ImporterUnderTest<Options, Api>,
  parties: Parties<Api>,
  ticks: number,
): Promise<void> {
  const { session, exporter } = parties;
  const buffer = exporter.allocate(BUFFER_BYTES);
  const using = later(tested.begin(parties, buffer, tested.direction));
  await session.ticks(ticks);
  await session.refusal(() => tested.letGo(parties, buffer), "letting go in the middle of a use");
  await session.refusal(() => using, "a use that was let go of");
  await session.rest();
  await session.refusal(() => tested.letGo(parties, buffer), "letting go again");
  await session.rest();
  const left = buffer.attachments.length;
  session.demand("IMP-025", left === 0, `keeps ${left} attachments when it was let go of`);
  buffer[Symbol.dispose]();
}

async function high<Options, Api>(
  tested: ImporterUnderTest<Options, Api>,
  parties: Parties<Api>,
): Promise<void> {
  const { session, exporter } = parties;
  if (session.world.isHigh !== true) {
    throw new NotClaimed("this world has no addresses around 4 GiB to give");
  }
  for (const direction of tested.directions) {
    const buffer = exporter.allocate(BUFFER_BYTES);
    const refused = await session.refusal(
      () => tested.use(parties, buffer, direction),
      "a use of addresses around 4 GiB",
    );
    await tested.end(parties, buffer);
    if (refused !== undefined) {
      throw new NotClaimed(`it does not take them: ${refused.code}`);
    }
  }
}
