/**
 * Host bridge: does the kernel let peer traffic through the root complex, and why (not)?
 *
 * The kernel knows a host bridge by the *first* function in its root bus's list, and only if that is
 * at 00.0 or is a PCIe root port (`pci_host_bridge_dev`, p2pdma.c 6.12). Every answer has three
 * values, because a capture may not show the CPU, an id or the kind of a port.
 */
import { hex } from "../bdf.ts";
import { ID_UNKNOWN, PORT_TYPE, PORT_TYPE_UNKNOWN } from "../function-record.ts";
import type { RootBus, Topology } from "../topology.ts";
import type { HostBridgeRow, KernelRules } from "./kernel-rules.ts";
import type { ReasonCode, RuleReason } from "./reason-code.ts";

export type Answer = "yes" | "no" | "unknown";

/** What the rules make of one root bus. */
export interface HostBridge {
  readonly root: RootBus;
  /** Accepted for two functions below this one host bridge. */
  readonly alone: Answer;
  /** Accepted as one of two host bridges. */
  readonly withOthers: Answer;
  readonly reason: RuleReason;
}

/** `cpu_supports_p2pdma()`: one answer for the whole machine. */
export function cpuAnswer(topology: Topology, rules: KernelRules): Answer {
  const { cpu } = topology.facts;
  if (cpu === undefined) {
    return "unknown";
  }
  if (cpu.vendor !== rules.cpu.vendor) {
    return "no";
  }
  if (cpu.family === undefined) {
    return "unknown";
  }
  return cpu.family >= rules.cpu.familyMin ? "yes" : "no";
}

export function cpuReason(topology: Topology, rules: KernelRules): RuleReason {
  const answer = cpuAnswer(topology, rules);
  const { cpu } = topology.facts;
  const wanted = `${rules.cpu.vendor} family 0x${hex(rules.cpu.familyMin, 2)} or newer`;
  if (cpu === undefined || answer === "unknown") {
    const text = `The CPU is not in the capture (/proc/cpuinfo); with ${wanted} the path would pass.`;
    return { code: "CPU_UNKNOWN", text };
  }
  const family = cpu.family === undefined ? "" : ` family 0x${hex(cpu.family, 2)}`;
  return answer === "yes"
    ? {
        code: "CPU_ACCEPTED",
        text: `The CPU is ${cpu.vendor}${family}, whose root complex routes peer traffic.`,
      }
    : {
        code: "CPU_NOT_ACCEPTED",
        text: `The CPU is ${cpu.vendor}${family}; only ${wanted} passes whatever the host bridge.`,
      };
}

/** Every root bus of the machine, in the order of `topology.rootBuses`. */
export const hostBridgesOf = (topology: Topology, rules: KernelRules): HostBridge[] =>
  topology.rootBuses.map((root) => hostBridgeOf(topology, rules, root));

/** One root bus. */
export function hostBridgeOf(topology: Topology, rules: KernelRules, root: RootBus): HostBridge {
  const first = root.functions[0];
  if (!showsFirst(topology, first)) {
    return withUnknownFirst(topology, root);
  }
  if (first === undefined) {
    return refusing(root, "HOST_BRIDGE_UNNAMED", `Root bus ${root.id} has no function of its own.`);
  }
  const at = topology.bdfOf(first);
  const { devfn, portType, vendor, device } = topology.table;
  const isNamed = devfn[first] === 0 || portType[first] === PORT_TYPE.ROOT_PORT;
  if (!isNamed && portType[first] !== PORT_TYPE_UNKNOWN) {
    const text = `The first function of root bus ${root.id} is ${at}, neither 00.0 nor a root port, so the host bridge has no identity.`;
    return refusing(root, "HOST_BRIDGE_UNNAMED", text, at);
  }
  const id: Id = { vendor: vendor[first] as number, device: device[first] as number };
  const listed = lookUp(root, at, id, rules);
  return isNamed || listed.alone !== "yes" ? listed : withUnknownKind(listed, at, id);
}

/** Is what the capture shows first on a root bus what the kernel has first? Nothing comes before 00.0. */
function showsFirst(topology: Topology, first: number | undefined): boolean {
  const { tree } = topology.facts;
  const isAtStart = first !== undefined && topology.table.devfn[first] === 0;
  return tree === "whole" || (tree === "chains" && isAtStart);
}

function withUnknownFirst(topology: Topology, root: RootBus): HostBridge {
  const { tree, format } = topology.facts;
  const isShown = tree === "whole" || tree === "chains";
  const text = isShown
    ? `The function that names host bridge ${root.id} is not in the capture: ${format} need not show every function.`
    : `The host bridge above is not in the capture: ${format} does not show root buses.`;
  return {
    root,
    alone: "unknown",
    withOthers: "unknown",
    reason: { code: "HOST_BRIDGE_ID_UNKNOWN", text },
  };
}

interface Id {
  readonly vendor: number;
  readonly device: number;
}

const named = (id: Id): string => `${hex(id.vendor, 4)}:${hex(id.device, 4)}`;

function lookUp(root: RootBus, at: string, id: Id, rules: KernelRules): HostBridge {
  const row = rules.hostBridges.find((each) => matches(each, id));
  if (row !== undefined) {
    return listed(root, at, id, row);
  }
  if (couldMatch(rules, id)) {
    const text = `The id of ${at}, which names host bridge ${root.id}, is not in the capture (vendor and device files).`;
    return {
      root,
      alone: "unknown",
      withOthers: "unknown",
      reason: { code: "HOST_BRIDGE_ID_UNKNOWN", at, text },
    };
  }
  const open = rules.unverifiedHostBridges.find((each) => matches(each, id));
  if (open !== undefined) {
    const text = `Host bridge ${root.id} is ${named(id)} (${open.platform}); whether ${rules.name} lists it is not verified.`;
    const withOthers = open.sameOnly ? "no" : "unknown";
    return {
      root,
      alone: "unknown",
      withOthers,
      reason: { code: "HOST_BRIDGE_UNVERIFIED", at, text },
    };
  }
  const text = `Host bridge ${root.id} is ${named(id)}, which ${rules.name} does not list.`;
  return refusing(root, "HOST_BRIDGE_NOT_LISTED", text, at);
}

function listed(root: RootBus, at: string, id: Id, row: HostBridgeRow): HostBridge {
  const text = `Host bridge ${root.id} is ${named(id)} (${row.platform}), listed`;
  return row.sameOnly
    ? {
        root,
        alone: "yes",
        withOthers: "no",
        reason: { code: "HOST_BRIDGE_SAME_ONLY", at, text: `${text} for traffic within it only.` },
      }
    : {
        root,
        alone: "yes",
        withOthers: "yes",
        reason: { code: "HOST_BRIDGE_LISTED", at, text: `${text}.` },
      };
}

const matches = (row: HostBridgeRow, id: Id): boolean =>
  row.vendor === id.vendor && (row.device === "any" || row.device === id.device);

/** An id that was not captured may be any of the listed ones, unless its vendor rules that out. */
function couldMatch(rules: KernelRules, id: Id): boolean {
  if (id.vendor === ID_UNKNOWN) {
    return true;
  }
  const all = [...rules.hostBridges, ...rules.unverifiedHostBridges];
  return id.device === ID_UNKNOWN && all.some((row) => row.vendor === id.vendor);
}

/** The id would pass, but only a root port may carry it, and the capture does not show the kind of port. */
function withUnknownKind(bridge: HostBridge, at: string, id: Id): HostBridge {
  const text = `${at}, which is ${named(id)}, names host bridge ${bridge.root.id} only if it is a root port; its PCI Express capability is not in the capture.`;
  return {
    root: bridge.root,
    alone: "unknown",
    withOthers: bridge.withOthers === "no" ? "no" : "unknown",
    reason: { code: "HOST_BRIDGE_KIND_UNKNOWN", at, text },
  };
}

const refusing = (root: RootBus, code: ReasonCode, text: string, at?: string): HostBridge => ({
  root,
  alone: "no",
  withOthers: "no",
  reason: { code, ...(at !== undefined && { at }), text },
});

/** `host_bridge_whitelist()` for two root buses, without the CPU rule. */
export function whitelistAnswer(provider: HostBridge, client: HostBridge): Answer {
  if (provider.root === client.root) {
    return provider.alone;
  }
  const answers = [provider.withOthers, client.withOthers];
  if (answers.includes("no")) {
    return "no";
  }
  return answers.includes("unknown") ? "unknown" : "yes";
}

/** The whole host bridge check: either rule is enough. */
export function passAnswer(cpu: Answer, whitelist: Answer): Answer {
  if (cpu === "yes" || whitelist === "yes") {
    return "yes";
  }
  return cpu === "unknown" || whitelist === "unknown" ? "unknown" : "no";
}
