/**
 * Headline: the answer in one line, so that ten seconds of reading are enough.
 *
 * "Fine" is said only when every pair is known to work and nothing is known to be against it; what the
 * capture does not show is never fine.
 */
import type { Topology } from "@peerbuf/topology";
import type { Paint } from "../paint.ts";
import { type Diagnosis, needsAction } from "./diagnosis.ts";

export function headline(paint: Paint, diagnosis: Diagnosis): string {
  const { pairCount, counts, findings } = diagnosis;
  const working = counts["bus-addr"] + counts["host-bridge"];
  const acting = findings.filter(needsAction).length;
  const more = acting === 0 ? "" : ` ${things(acting)} to look at.`;
  if (pairCount === 0) {
    return isOpen(diagnosis)
      ? paint.fair(paint.strong(openText(diagnosis)))
      : paint.strong(nothingText(diagnosis));
  }
  if (counts.unknown === pairCount) {
    const text = `Not known: the capture does not say whether ${pairCount === 1 ? "the one pair goes" : `any of ${pairCount} pairs goes`} peer to peer.`;
    return paint.fair(paint.strong(text)) + more;
  }
  if (working < pairCount) {
    const parts = [
      ...(counts.unsupported > 0 ? [`${counts.unsupported} refused by the kernel`] : []),
      ...(counts.unknown > 0 ? [`${counts.unknown} not known`] : []),
    ];
    const text = `${working === 0 ? "None" : working} of ${pairs(pairCount)} can go peer to peer: ${parts.join(", ")}.`;
    return paint[working === 0 ? "bad" : "fair"](paint.strong(text)) + more;
  }
  return allWorking(paint, diagnosis) + more;
}

function allWorking(paint: Paint, { pairCount, counts, findings }: Diagnosis): string {
  const all = `${allPairs(pairCount)} can go peer to peer`;
  const ways = waysText(counts["bus-addr"], counts["host-bridge"]);
  if (findings.some(({ severity }) => severity === "blocks")) {
    const text = `Allowed, but not safe: the kernel maps ${pairs(pairCount)} peer to peer (${ways}), and this machine is known to be against it.`;
    return paint.bad(paint.strong(text));
  }
  if (findings.some(({ severity }) => severity === "open")) {
    return paint.fair(paint.strong(`As far as known ${all} (${ways}).`));
  }
  return findings.some(needsAction)
    ? paint.fair(paint.strong(`Works: ${all} (${ways}).`))
    : paint.good(paint.strong(`Fine: ${all} (${ways}).`));
}

function waysText(below: number, through: number): string {
  if (through === 0) {
    return "below the root complex";
  }
  return below === 0
    ? "through the root complex"
    : `${below} below the root complex, ${through} through it`;
}

/** There is no pair to judge because the capture does not say what there is. */
export const isOpen = ({ pairCount, topology }: Diagnosis): boolean =>
  pairCount === 0 && (topology.facts.pathClasses !== undefined || hasUnknownKinds(topology));

const hasUnknownKinds = ({ table, endpoints }: Topology): boolean =>
  endpoints.some((row) => table.classCode[row] === 0);

function openText({ topology }: Diagnosis): string {
  return topology.count === 0
    ? `Not known: ${topology.facts.format} says how near the devices are to each other, and not what the kernel makes of it. Add what lspci -Dvvvxxxx prints as root.`
    : `Not known: ${topology.facts.format} does not say which functions are GPUs, NICs or NVMe drives. Add what lspci -Dnn prints.`;
}

function nothingText({ topology, rows }: Diagnosis): string {
  const { source } = topology.facts;
  if (topology.count === 0) {
    return `Nothing to diagnose: ${source} shows no PCI functions (a container or a virtual machine may hide them).`;
  }
  return rows.length === 0
    ? `Nothing to diagnose: ${source} has no GPU, accelerator, NIC or NVMe drive.`
    : `Nothing to diagnose: ${source} has only one such device, and P2P needs two.`;
}

const pairs = (count: number): string => (count === 1 ? "1 pair" : `${count} pairs`);
function allPairs(count: number): string {
  if (count <= 2) {
    return count === 1 ? "the one pair" : "both pairs";
  }
  return `all ${count} pairs`;
}

const things = (count: number): string => (count === 1 ? "1 thing" : `${count} things`);
