/**
 * Textbook: the kernel's procedure (drivers/pci/p2pdma.c, 6.12) written down step by step over plain
 * records, sharing no code with the package. Knows no "unknown": `possibleTypes` tries out what the
 * unknown facts could be, and a type is certain when every possibility gives it.
 */
import type { PathType } from "@peerbuf/core";
import type { CpuFacts, FunctionRecord } from "@peerbuf/topology";

export interface TextbookMachine {
  readonly functions: ReadonlyMap<string, FunctionRecord>;
  readonly cpu: CpuFacts | undefined;
}

const WHITELIST: Readonly<Record<string, { same: boolean }>> = {
  "8086:3c00": { same: true },
  "8086:3c01": { same: true },
  "8086:2f00": { same: true },
  "8086:2f01": { same: true },
  "8086:2030": { same: false },
  "8086:2031": { same: false },
  "8086:2032": { same: false },
  "8086:2033": { same: false },
  "8086:2020": { same: false },
  "8086:9a2": { same: false },
};

function upstream(machine: TextbookMachine, bdf: string): string | null {
  const record = machine.functions.get(bdf) as FunctionRecord;
  const standing = record.physicalFunction ?? bdf;
  return (machine.functions.get(standing) as FunctionRecord).parent ?? null;
}

function redirect(machine: TextbookMachine, bdf: string): boolean {
  const { acs } = machine.functions.get(bdf) as FunctionRecord;
  return acs !== undefined && acs !== "absent" && (acs.control & (0x04 | 0x08 | 0x20)) !== 0;
}

function hostBridgeId(machine: TextbookMachine, rootBus: string): string | undefined {
  for (const [bdf, record] of machine.functions) {
    if (bdf.startsWith(`${rootBus}:`)) {
      const isNamed = bdf.endsWith(":00.0") || record.portType === 4;
      const id = `${record.vendor?.toString(16)}:${record.device?.toString(16)}`;
      return isNamed ? id : undefined;
    }
  }
  return undefined;
}

function passesRoot(machine: TextbookMachine, provider: string, client: string): boolean {
  const { cpu } = machine;
  if (cpu?.vendor === "AuthenticAMD" && (cpu.family ?? 0) >= 0x17) {
    return true;
  }
  const [one, other] = [provider, client].map(
    (bdf) => (machine.functions.get(bdf) as FunctionRecord).rootBus ?? "",
  ) as [string, string];
  const rowOf = (rootBus: string) => WHITELIST[hostBridgeId(machine, rootBus) ?? ""];
  if (one === other) {
    return rowOf(one) !== undefined;
  }
  return rowOf(one)?.same === false && rowOf(other)?.same === false;
}

/** Type and distance, all facts being known. */
export function textbookVerdict(
  machine: TextbookMachine,
  provider: string,
  client: string,
): { type: PathType; distance: number } {
  const throughRoot = (): PathType =>
    passesRoot(machine, provider, client) ? "host-bridge" : "unsupported";
  const redirects = new Set<string>();
  let distanceA = 0;
  let distanceB = 0;
  for (let a: string | null = provider; a !== null; a = upstream(machine, a)) {
    distanceB = 0;
    if (redirect(machine, a)) {
      redirects.add(a);
    }
    for (let b: string | null = client; b !== null; b = upstream(machine, b)) {
      if (a === b) {
        for (let c: string | null = client; c !== a && c !== null; c = upstream(machine, c)) {
          if (redirect(machine, c)) {
            redirects.add(c);
          }
        }
        const type = redirects.size === 0 ? "bus-addr" : throughRoot();
        return { type, distance: distanceA + distanceB };
      }
      distanceB += 1;
    }
    distanceA += 1;
  }
  return { type: throughRoot(), distance: distanceA + distanceB };
}

/** Machines that the known facts allow: unknown facts take every extreme they can have. */
export function possibleMachines(machine: TextbookMachine): TextbookMachine[] {
  const records = [...machine.functions.values()];
  const cpus =
    machine.cpu === undefined
      ? [
          { vendor: "AuthenticAMD", family: 0x19 },
          { vendor: "GenuineIntel", family: 6 },
        ]
      : [machine.cpu];
  const isAnyUnknown = (test: (record: FunctionRecord) => boolean) => records.some(test);
  const controls = isAnyUnknown(({ acs }) => acs === undefined) ? [0x00, 0x04] : [0];
  const kinds = isAnyUnknown(({ portType }) => portType === -2) ? [4, 0] : [0];
  const ids = isAnyUnknown(({ vendor }) => vendor === 0xffff) ? [0x09a2, 0x2f01, 0x4c43] : [0];
  const machines: TextbookMachine[] = [];
  for (const cpu of cpus) {
    for (const control of controls) {
      for (const kind of kinds) {
        for (const id of ids) {
          const decide = (record: FunctionRecord): FunctionRecord => ({
            ...record,
            acs: record.acs ?? { capability: 0x5f, control },
            ...(record.portType === -2 && { portType: kind }),
            ...(record.vendor === 0xffff && { vendor: 0x8086, device: id }),
          });
          const functions = new Map(
            Array.from(machine.functions, ([bdf, record]) => [bdf, decide(record)]),
          );
          machines.push({ functions, cpu });
        }
      }
    }
  }
  return machines;
}
