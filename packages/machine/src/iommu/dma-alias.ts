/**
 * DMA alias: under whose id a function's requests reach the IOMMU.
 *
 * A bridge to conventional PCI takes over the requests of everything behind it, as that bus has no
 * requester ids (PCI Express to PCI bridge specification 1.0, 2.3). Those functions share one domain;
 * every other function, virtual ones too, has an id of its own. Linux also puts functions into one
 * group that ACS does not keep apart; they keep domains of their own here.
 */
import { PORT_TYPE, PORT_TYPE_NONE, type Topology } from "@peerbuf/topology";

/** Row of the topmost conventional bridge above, else the function's own. */
export function dmaAliasOf(topology: Topology, row: number): number {
  const { portType } = topology.table;
  let alias = row;
  for (let at = topology.upstreamOf(row); at >= 0; at = topology.upstreamOf(at)) {
    if (portType[at] === PORT_TYPE.PCIE_TO_PCI || portType[at] === PORT_TYPE_NONE) {
      alias = at;
    }
  }
  return alias;
}
