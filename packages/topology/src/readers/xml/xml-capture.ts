/**
 * XML capture: recognises XML by its start and finds the reader by the name of its root element.
 */
import { InputError } from "@peerbuf/core";
import type { Topology } from "../../topology.ts";
import type { CaptureHead } from "../capture-head.ts";
import { headText } from "../capture-text.ts";
import type { XmlElement } from "./element.ts";
import { topologyFromHwloc } from "./hwloc-topology.ts";
import { topologyFromNccl } from "./nccl-topology.ts";
import { readXml } from "./xml-document.ts";

const READERS: ReadonlyMap<string, (source: string, root: XmlElement) => Topology> = new Map([
  ["system", topologyFromNccl],
  ["topology", topologyFromHwloc],
]);

/** Documents of the same tools that hold something else. */
const OTHERS: ReadonlyMap<string, string> = new Map([
  ["graphs", "these are the paths NCCL chose (NCCL_GRAPH_DUMP_FILE), not the machine"],
  ["topologydiff", "this is a difference between two hwloc topologies"],
  ["nvidia_smi_log", "this is a log of nvidia-smi -q, which has no topology"],
]);

export const looksLikeXml = (head: CaptureHead): boolean =>
  /^\s*<(?:\?xml|!--|!DOCTYPE|[a-z_])/i.test(headText(head));

/** @throws InputError for bad XML, or XML of another kind */
export async function readXmlCapture(head: CaptureHead): Promise<Topology> {
  const root = await readXml(head);
  const reader = READERS.get(root.name);
  if (reader === undefined) {
    throw new InputError({
      source: head.path,
      place: `line ${root.line}`,
      cause:
        OTHERS.get(root.name) ??
        "this XML is neither a topology of NCCL or RCCL (<system>) nor one of hwloc (<topology>)",
      remedy: "Write one with NCCL_TOPO_DUMP_FILE=FILE or lstopo --of xml FILE",
    });
  }
  return reader(head.path, root);
}
