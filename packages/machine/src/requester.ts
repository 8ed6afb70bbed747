/**
 * Requester: what all requests of one port have in common, and the routes they took.
 *
 * A request (transaction layer packet) is an address, a length and read or write, which change with each,
 * and what stands here: whose id it bears, whether its address was translated before, and its attributes.
 * Kept apart so that a request costs no object.
 */
import { InputError } from "@peerbuf/core";
import { formatBdf, parseBdf, type Topology } from "@peerbuf/topology";
import { RouteCache } from "./route-cache.ts";

/** Requester that stands for the processors: starts at the root complex and may reach everything below. */
export const CPU = -1;

/** Fields of a request's header (PCIe base specification 5.0, 2.2). All are off unless told otherwise. */
export interface RequestAttributes {
  /** The address type field says that the address was translated before (ATS). */
  readonly translated?: boolean;
  /** A read's completion bears it too, and then Completion Redirect does not apply to it. */
  readonly relaxedOrdering?: boolean;
  /** Carried and logged; nothing in the fabric is reordered or cached, so neither has an effect. */
  readonly idOrdering?: boolean;
  readonly noSnoop?: boolean;
  /** BDF of somebody else: a forged requester id. Completions of reads go there. */
  readonly requesterId?: string;
}

/** Routes of one kind of access. */
interface Routes {
  readonly fromDevice: RouteCache;
  /** From the root complex on, for what an IOMMU translated. */
  readonly translated: RouteCache;
}

const noRoutes = (): Routes => ({ fromDevice: new RouteCache(), translated: new RouteCache() });

export class Requester {
  /** Row of the function at whose link the requests enter, or `CPU`. */
  readonly row: number;
  /** Row of the function whose id they bear, -1 for an id of nobody and for the processors. */
  readonly idRow: number;
  readonly domain: number;
  readonly bus: number;
  readonly devfn: number;
  /** For logs: the id they bear, or `cpu`. */
  readonly name: string;
  readonly attributes: RequestAttributes;
  readonly reads: Routes = noRoutes();
  readonly writes: Routes = noRoutes();

  /** `InputError` when the requester id is no BDF, or of another domain than the function. */
  constructor(topology: Topology, row: number, attributes: RequestAttributes = {}) {
    const { domain, bus, devfn } = topology.table;
    const forged = attributes.requesterId;
    const id = forged === undefined ? undefined : parsedId(forged, domain[row]);
    this.row = row;
    this.attributes = attributes;
    this.domain = domain[row] ?? 0;
    this.bus = id?.bus ?? bus[row] ?? 0;
    this.devfn = id?.devfn ?? devfn[row] ?? 0;
    this.idRow = id === undefined ? row : topology.indexOf(formatBdf(id));
    this.name = id !== undefined ? formatBdf(id) : row === CPU ? "cpu" : topology.bdfOf(row);
  }
}

function parsedId(bdf: string, domain: number | undefined) {
  const id = parseBdf(bdf);
  if (id === undefined || id.domain !== domain) {
    throw new InputError({
      source: `requester id ${bdf}`,
      cause:
        id === undefined
          ? "this is not a PCI address (domain:bus:device.function)"
          : "a requester id names no domain, so it cannot be one of another domain",
      remedy: "Give a BDF in the domain of the function that issues the request",
    });
  }
  return id;
}
