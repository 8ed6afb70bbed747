/**
 * Remedies: what would have to change for a pair to get a better path.
 *
 * A change of ACS control is tried on a copy of the machine and judged again, so its promise is the
 * rules' own. What no setting can change (a host bridge the kernel does not accept) is said to be a
 * limit: forcing the kernel past it risks silent loss of data, so that is never advised. The short form that
 * `explain` prints; everything that can be said is in `fixes/`.
 */
import { acsBits } from "../acs.ts";
import { hex } from "../bdf.ts";
import { redirectParameter } from "../fixes/clear-acs.ts";
import { ACS_UNKNOWN } from "../function-table.ts";
import type { Topology } from "../topology.ts";
import { cpuAnswer } from "./host-bridge.ts";
import { judgePair, type PairVerdict, redirectAnswer, walkPair } from "./judge-pair.ts";
import type { KernelRules } from "./kernel-rules.ts";
import type { ReasonCode } from "./reason-code.ts";

export interface AcsChange {
  /** Function (BDF) whose ACS control is changed. */
  readonly at: string;
  readonly controlBefore: number;
  readonly controlAfter: number;
}

export interface Remedy {
  /**
   * `clear-acs`: change control bits; `move`: put a card elsewhere; `capture`: supply a missing fact;
   * `limit`: nothing can be done on this machine.
   */
  readonly kind: "clear-acs" | "move" | "capture" | "limit";
  /** One or two sentences: what to do, and what it costs. */
  readonly text: string;
  readonly changes: readonly AcsChange[];
  /** The verdict after `changes`; left out where a change cannot be tried on the model. */
  readonly result?: PairVerdict;
}

/** What to change, best first; empty when the pair already turns round below the root complex. */
export function remediesFor(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): Remedy[] {
  const now = judgePair(topology, rules, provider, client);
  if (now.type === "bus-addr") {
    return [];
  }
  return [
    ...captureRemedies(topology, rules, provider, client, now),
    ...clearingRemedies(topology, rules, provider, client),
    ...movingRemedies(topology, provider, client),
    ...limits(now),
  ];
}

function clearingRemedies(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
): Remedy[] {
  const { providerSide, clientSide, common } = walkPair(topology, provider, client);
  const rows = [...providerSide, ...clientSide].filter(
    (row) => redirectAnswer(topology, rules, row) === "yes",
  );
  if (common < 0 || rows.length === 0) {
    return [];
  }
  const control = topology.table.acsControl;
  const cleared = new Map(rows.map((row) => [row, (control[row] as number) & ~rules.redirectMask]));
  const changes = rows.map((row) => ({
    at: topology.bdfOf(row),
    controlBefore: control[row] as number,
    controlAfter: cleared.get(row) as number,
  }));
  const result = judgePair(topology.withAcsControl(cleared), rules, provider, client);
  return [{ kind: "clear-acs", text: clearingText(topology, rules, changes), changes, result }];
}

function clearingText(
  topology: Topology,
  rules: KernelRules,
  changes: readonly AcsChange[],
): string {
  const what = changes
    .map(({ at, controlBefore, controlAfter }) => {
      const bits = acsBits(controlBefore & rules.redirectMask).join(" and ");
      return `${bits} on ${at} (ACS control 0x${hex(controlBefore, 4)} to 0x${hex(controlAfter, 4)})`;
    })
    .join(", ");
  const rows = changes.map(({ at }) => topology.require(at));
  const parameter = redirectParameter(topology, rows);
  return `Clear ${what}: boot with ${parameter}. This merges IOMMU groups: the functions are no longer isolated from each other.`;
}

function movingRemedies(topology: Topology, provider: number, client: number): Remedy[] {
  if (walkPair(topology, provider, client).common >= 0) {
    return [];
  }
  const text = `Put ${topology.bdfOf(provider)} and ${topology.bdfOf(client)} below one PCIe switch: with no redirect on the ports between them the traffic turns round there.`;
  return [{ kind: "move", text, changes: [] }];
}

function captureRemedies(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  now: PairVerdict,
): Remedy[] {
  if (now.type !== "unknown") {
    return [];
  }
  const { providerSide, clientSide } = walkPair(topology, provider, client);
  const unread = [...providerSide, ...clientSide].filter(
    (row) => topology.table.acsState[row] === ACS_UNKNOWN,
  );
  const steps: string[] = [];
  if (now.reasons.some(({ code }) => code === "ACS_UNKNOWN")) {
    const names = unread.map((row) => topology.bdfOf(row)).join(", ");
    steps.push(`read all of config space as root (lspci -vvv shows ACSCtl) of ${names}`);
  }
  if (cpuAnswer(topology, rules) === "unknown") {
    steps.push("include /proc/cpuinfo");
  }
  if (now.reasons.some(({ code }) => CAPTURABLE_HOST_BRIDGE_CODES.has(code))) {
    steps.push("include vendor, device and config of the first function of each root bus");
  }
  return steps.length === 0
    ? []
    : [{ kind: "capture", text: `Capture again: ${steps.join("; ")}.`, changes: [] }];
}

const CAPTURABLE_HOST_BRIDGE_CODES: ReadonlySet<ReasonCode> = new Set([
  "HOST_BRIDGE_ID_UNKNOWN",
  "HOST_BRIDGE_KIND_UNKNOWN",
]);
const LIMIT_CODES: ReadonlySet<ReasonCode> = new Set([
  "HOST_BRIDGE_UNNAMED",
  "HOST_BRIDGE_NOT_LISTED",
  "HOST_BRIDGE_SAME_ONLY",
]);

function limits(now: PairVerdict): Remedy[] {
  const limiting = now.reasons.filter(({ code }) => LIMIT_CODES.has(code));
  if (now.type !== "unsupported" || limiting.length === 0) {
    return [];
  }
  const text = `${limiting.map(({ text: reason }) => reason).join(" ")} This kernel does not trust the root complex with this traffic; that is a limit of the machine, not a setting.`;
  return [{ kind: "limit", text, changes: [] }];
}
