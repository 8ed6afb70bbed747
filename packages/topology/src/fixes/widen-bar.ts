/**
 * Widen BAR: whom to ask for a larger window into a device's memory.
 *
 * The card, the system firmware and the bridges above each can be the one who limits; the advice goes to
 * the one that the capture shows.
 */
import type { MemoryReach, ReachLimit } from "../diagnosis/memory-reach.ts";
import type { Topology } from "../topology.ts";
import { firmwareSetting } from "./advice.ts";
import type { Fix } from "./fix.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;

const ADVICE: Readonly<Record<ReachLimit, string>> = {
  "card-firmware":
    "the card's own firmware offers no more, so a setting of the board will not help: newer card firmware might",
  "system-firmware":
    "the card offers more and the bridges above have room: switch on Above 4G Decoding and Resizable BAR in the firmware setup",
  "bridge-windows":
    "the card offers more, but the windows of the bridges above are too small: switch on Above 4G Decoding and Resizable BAR in the firmware setup, so that they are made larger at boot",
  none: "nothing limits it",
  unknown:
    "whether the card offers more is not in the capture (Resizable BAR capability): look there first, then switch on Above 4G Decoding and Resizable BAR in the firmware setup",
};

export function widenBar(topology: Topology, row: number, reach: MemoryReach): Fix {
  const size = reach.sizeBytes === undefined ? "of unknown size" : sizeText(reach.sizeBytes);
  const most = reach.sizesSupported?.at(-1);
  const offer = most === undefined ? "" : `, at most ${sizeText(most)}`;
  const state = reach.isAssigned ? size : "without an address";
  return firmwareSetting(
    `BAR ${reach.index} of ${topology.bdfOf(row)} is ${state}${offer}: ${ADVICE[reach.limit]}.`,
  );
}

export const sizeText = (bytes: number): string =>
  bytes >= GIB ? `${bytes / GIB} GiB` : `${bytes / MIB} MiB`;
