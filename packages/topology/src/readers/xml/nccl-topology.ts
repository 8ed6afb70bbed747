/**
 * NCCL topology: the XML that NCCL and RCCL write (NCCL_TOPO_DUMP_FILE), or a cloud writes for them.
 *
 * It is NCCL's own view: GPUs and NICs with about one bridge for each switch level, without root ports,
 * drives, ACS, IOMMU or BARs. So the tree has gaps by nature, and what it can tell is nearness. A bridge
 * at ffff:ff is invented by the writer to say "these are near each other"; it becomes a near group.
 *
 * Facts of the whole machine are in `nccl-facts.ts`.
 */
import { formatBdf } from "../../bdf.ts";
import { type FunctionRecord, ID_UNKNOWN, type LinkRecord } from "../../function-record.ts";
import type { Topology } from "../../topology.ts";
import { buildTopology } from "../../topology-builder.ts";
import {
  addressAttribute,
  attribute,
  hexAttribute,
  refusedElement,
  wholeAttribute,
  type XmlElement,
} from "./element.ts";
import { NcclFacts } from "./nccl-facts.ts";

/** Domain and bus of invented switches. */
const INVENTED_DOMAIN = 0xffff;
const INVENTED_BUS = 0xff;

/** Where in the file an element stands. */
interface Place {
  /** The real bridge around it; left out right below a CPU. */
  readonly bridge?: { readonly bdf: string; readonly domain: number };
  readonly numaNode: number;
  /** Names of the groups around it. */
  readonly groups: readonly string[];
}

/** @throws InputError for an address or number that cannot be, or a file of several machines */
export function topologyFromNccl(source: string, root: XmlElement): Topology {
  const facts = new NcclFacts(source, root);
  const records: FunctionRecord[] = [];
  const visit = (element: XmlElement, place: Place): void => {
    const bridges = element.children.filter(({ name }) => name === "pci");
    for (const each of bridges) {
      visitFunction(each, place);
    }
  };
  const visitFunction = (element: XmlElement, place: Place): void => {
    const address = addressAttribute(source, element, "busid");
    const bdf = formatBdf(address);
    if (address.domain === INVENTED_DOMAIN && address.bus === INVENTED_BUS) {
      visit(element, { ...place, groups: [...place.groups, bdf] });
      return;
    }
    // A bridge has no functions of another domain below it: then its element stands for nearness only.
    const isBelow = place.bridge?.domain === address.domain;
    const around = place.bridge === undefined || isBelow ? [] : [place.bridge.bdf];
    const groups = [...place.groups, ...around];
    const isBridge = element.children.some(({ name }) => name === "pci");
    const parent = isBelow ? (place.bridge?.bdf ?? null) : null;
    records.push(recordOf(source, element, { bdf, isBridge, parent, numaNode: place.numaNode }));
    facts.addFunction(element, bdf, isBridge ? [] : groups);
    visit(element, { ...place, groups, bridge: { bdf, domain: address.domain } });
  };
  for (const cpu of root.children.filter(({ name }) => name === "cpu")) {
    const numaNode = wholeAttribute(source, cpu, "numaid", -1, 0x7fffffff) ?? -1;
    visit(cpu, { numaNode, groups: [] });
  }
  if (records.length === 0) {
    throw refusedElement(source, root, "there are no PCI functions in it (<pci> below <cpu>)");
  }
  return buildTopology(facts.facts(), records);
}

interface Standing {
  readonly bdf: string;
  readonly isBridge: boolean;
  readonly parent: string | null;
  readonly numaNode: number;
}

function recordOf(source: string, element: XmlElement, standing: Standing): FunctionRecord {
  const { bdf, isBridge, parent, numaNode } = standing;
  const classCode = hexAttribute(source, element, "class", 0xffffff);
  const isBridgeClass = classCode !== undefined && classCode >> 8 === 0x0604;
  return {
    bdf,
    vendor: idAttribute(source, element, "vendor"),
    device: idAttribute(source, element, "device"),
    ...(classCode !== undefined && { classCode }),
    headerType: isBridge || isBridgeClass ? 1 : 0,
    parent,
    numaNode,
    link: linkOf(source, element),
  };
}

/** An id; 0x0000 and 0xffff are written for one that was not found. */
function idAttribute(source: string, element: XmlElement, name: string): number {
  const id = hexAttribute(source, element, name, 0xffff);
  return id === undefined || id === 0 ? ID_UNKNOWN : id;
}

/** `16.0 GT/s PCIe` and lanes, at the time of the dump: an idle link is slower than it can be. */
function linkOf(source: string, element: XmlElement): LinkRecord {
  const speed = /^(\d{1,3}(?:\.\d+)?)\s*GT\/s/.exec(attribute(element, "link_speed") ?? "")?.[1];
  const width = wholeAttribute(source, element, "link_width", 0, 255) ?? 0;
  return {
    ...(speed !== undefined && { speedMtps: Math.round(Number(speed) * 1000) }),
    ...(width > 0 && { width }),
  };
}
