/**
 * Fleet groups: machines that are the same in one group, and for each smaller group the larger one that
 * it resembles, with what differs.
 *
 * A group is odd when a larger one has the same function at four places of five or more: then it was
 * meant to be that machine. Groups without such a likeness are other kinds of machines.
 */
import { type KernelRules, readCapture, type Topology } from "@peerbuf/topology";
import {
  type Difference,
  differencesOf,
  likeness,
  type PairDifference,
  pairDifferences,
} from "./difference.ts";
import type { CaptureFile } from "./find-captures.ts";
import type { Digested, MachineDigest } from "./machine-digest.ts";

/** Groups that are compared with each other; further ones are listed only. */
export const COMPARED_MAX = 64;
/** Share of equal places from which a group counts as meant to be the other. */
const LIKENESS_MIN = 0.8;

export interface FleetGroup {
  /** 1 is the largest. */
  readonly number: number;
  readonly members: readonly string[];
  readonly digest: MachineDigest;
  readonly kernelReleases: readonly string[];
  /** Left out: like no larger group. */
  readonly like?: Likeness;
}

export interface Likeness {
  /** Number of the larger group. */
  readonly group: number;
  readonly differences: readonly Difference[];
  readonly pairs: readonly PairDifference[];
}

export interface Unreadable {
  readonly name: string;
  readonly message: string;
}

export interface Fleet {
  readonly machineCount: number;
  readonly groups: readonly FleetGroup[];
  readonly unreadable: readonly Unreadable[];
}

interface Gathered {
  readonly captures: CaptureFile[];
  readonly digests: MachineDigest[];
}

export async function groupFleet(
  captures: readonly CaptureFile[],
  digests: readonly Digested[],
  rules: KernelRules,
): Promise<Fleet> {
  const byKey = new Map<string, Gathered>();
  const unreadable: Unreadable[] = [];
  captures.forEach((capture, index) => {
    const digested = digests[index] as Digested;
    if ("unreadable" in digested) {
      unreadable.push({ name: capture.name, message: digested.unreadable });
      return;
    }
    const group = byKey.get(digested.key) ?? { captures: [], digests: [] };
    byKey.set(digested.key, group);
    group.captures.push(capture);
    group.digests.push(digested);
  });
  const sorted = [...byKey.values()].sort(
    (one, other) => other.captures.length - one.captures.length,
  );
  return { machineCount: captures.length, groups: await compared(sorted, rules), unreadable };
}

async function compared(sorted: readonly Gathered[], rules: KernelRules): Promise<FleetGroup[]> {
  const topologies: Topology[] = [];
  for (const { captures } of sorted.slice(0, COMPARED_MAX)) {
    topologies.push(await readCapture((captures[0] as CaptureFile).path));
  }
  return sorted.map(({ captures, digests }, index) => {
    const like = likenessOf(index, sorted, topologies, rules);
    return {
      number: index + 1,
      members: captures.map(({ name }) => name),
      digest: digests[0] as MachineDigest,
      kernelReleases: [...new Set(digests.map(({ kernelRelease }) => kernelRelease))].sort(),
      ...(like !== undefined && { like }),
    };
  });
}

/** The most alike of the larger groups. */
function likenessOf(
  index: number,
  sorted: readonly Gathered[],
  topologies: readonly Topology[],
  rules: KernelRules,
): Likeness | undefined {
  const here = topologies[index];
  const size = sorted[index]?.captures.length ?? 0;
  if (here === undefined) {
    return undefined;
  }
  let best = { share: LIKENESS_MIN, group: -1 };
  topologies.slice(0, index).forEach((there, group) => {
    const share = likeness(here, there);
    if (
      (sorted[group]?.captures.length ?? 0) > size &&
      (share > best.share || (best.group < 0 && share === best.share))
    ) {
      best = { share, group };
    }
  });
  const there = topologies[best.group];
  return there === undefined
    ? undefined
    : {
        group: best.group + 1,
        differences: differencesOf(here, there),
        pairs: pairDifferences(here, there, rules),
      };
}
