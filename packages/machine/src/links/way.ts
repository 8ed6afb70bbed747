/**
 * Way: the links and limits that requests of one device to one place go through.
 *
 * Made of the hops of a route and of its completion, which the fabric alone decides; nothing here routes.
 */
import { PORT_TYPE, type Topology } from "@peerbuf/topology";
import type { Hop } from "../route.ts";
import type { LinkMap } from "./link-map.ts";
import { ROOT_COMPLEX_NS, SWITCH_NS } from "./link-options.ts";
import { otherWay } from "./resource-table.ts";

/** A link that a request crosses. */
export interface Crossing {
  /** In the request's direction. */
  readonly resource: number;
  readonly isFlit: boolean;
  /** The root complex has sent the request on: it is in the root complex's packets. */
  readonly isRepacked: boolean;
}

export interface Way {
  readonly crossings: readonly Crossing[];
  /** Links that the completion of a read crosses, from the completer. */
  readonly back: readonly Crossing[];
  /** What each byte takes a unit of, such as a link between sockets: for writes, and for the data that reads bring. */
  readonly writeLimits: readonly number[];
  readonly readLimits: readonly number[];
  /** Of the request, and of a read's completion. */
  readonly latencyNs: number;
  readonly backNs: number;
  /** Payload of the packets that the completer answers with; 0 when nobody answers. */
  readonly completionBytes: number;
}

interface HopFacts {
  readonly crossings: readonly Crossing[];
  readonly latencyNs: number;
  /** It goes through the root complex to another device. */
  readonly isPeerAbove: boolean;
}

/** What a request passes, hop by hop. */
export function followHops(topology: Topology, links: LinkMap, hops: readonly Hop[]): HopFacts {
  const crossings: Crossing[] = [];
  let latencyNs = 0;
  let isFromDevice = false;
  let isAbove = false;
  let isPeerAbove = false;
  for (const { row, event } of hops) {
    isFromDevice ||= event === "issues" || event === "up";
    if (event === "root-complex") {
      isAbove = isFromDevice; // What RAM answers begins here.
      latencyNs += ROOT_COMPLEX_NS;
    } else if (event === "up" || event === "down") {
      isPeerAbove ||= isAbove && event === "down";
      latencyNs += entersSwitch(topology, row, event) ? SWITCH_NS : 0;
      const down = links.downOf(row);
      if (down >= 0) {
        const resource = event === "down" ? down : otherWay(down);
        crossings.push({ resource, isFlit: links.isFlit(row), isRepacked: isAbove });
      }
    }
  }
  return { crossings, latencyNs, isPeerAbove };
}

/** The port by which a request comes into a switch; it leaves by another without further delay. */
function entersSwitch({ table }: Topology, row: number, event: "up" | "down"): boolean {
  return (
    table.portType[row] ===
    (event === "up" ? PORT_TYPE.SWITCH_DOWNSTREAM : PORT_TYPE.SWITCH_UPSTREAM)
  );
}
