/**
 * Live ground: a framework on the real platform with one buffer in it, for one attempt; and what the
 * attempt came to, whatever happened.
 */
import {
  createFramework,
  type DmaBuf,
  type Framework,
  NegotiationError,
  PeerbufError,
} from "@peerbuf/core";
import type { LinuxBuffer, LinuxPlatformOptions } from "@peerbuf/linux";
import { patternBytes } from "../transfer/pattern.ts";
import type { Linux } from "./live-memory.ts";
import { type LiveTransfer, sha256 } from "./live-transfer.ts";

/** Of every attempt. */
export const LIVE_BYTES: number = 2 * 2 ** 20;
const SEED = 1;

export const liveBytes = (): Uint8Array => patternBytes(SEED, LIVE_BYTES);

/** What an attempt works with; all of it is closed behind it. */
export interface LiveGround {
  readonly framework: Framework;
  /** The memory as a buffer of the framework, filled with `liveBytes`. */
  readonly buffer: DmaBuf;
  readonly memory: LinuxBuffer;
}

type Found = Pick<LiveTransfer, "state"> & Partial<LiveTransfer>;

/** Runs `attempt` with memory that `allocate` makes. A refusal is its outcome, not an error. */
export async function onLiveGround(
  linux: Linux,
  who: Pick<LiveTransfer, "name" | "client">,
  options: LinuxPlatformOptions & { readonly allocate: () => LinuxBuffer },
  attempt: (ground: LiveGround) => Promise<Found>,
): Promise<LiveTransfer> {
  const { allocate, ...platformOptions } = options;
  let provider = "memory";
  try {
    using memory = allocate();
    provider = memory.exporterName;
    using platform = linux.createLinuxPlatform(platformOptions);
    using framework = createFramework({ platform, judge: linux.kernelJudge });
    const exporter = framework.openExporter(linux.dmaBufExporter, undefined, undefined);
    using buffer = exporter.allocate(LIVE_BYTES, { fd: memory.descriptor.number });
    await buffer.write(0, liveBytes());
    const found = await attempt({ framework, buffer, memory });
    return transferOf({ ...who, provider, decisions: [] }, found);
  } catch (error) {
    return failed({ ...who, provider, decisions: [] }, error);
  }
}

type Party = Pick<LiveTransfer, "name" | "provider" | "client" | "decisions">;

export const transferOf = (party: Party, found: Found): LiveTransfer => ({
  target: undefined,
  route: undefined,
  bytes: LIVE_BYTES,
  source: sha256(liveBytes()),
  destination: undefined,
  attached: undefined,
  error: undefined,
  ...party,
  ...found,
});

/** What the kernel or a driver declined in the negotiation is told from what broke. */
export function failed(party: Party, error: unknown): LiveTransfer {
  if (!(error instanceof PeerbufError)) {
    throw error;
  }
  return error instanceof NegotiationError
    ? transferOf({ ...party, decisions: error.decisions }, { state: "declined", error })
    : transferOf(party, { state: "failed", error });
}
