/** Pair words: functions and pairs by the names that people use. */
import type { PairName, Topology } from "@peerbuf/topology";
import { shortBdf, shortNames } from "../function-label.ts";

/** Names of functions by BDF, `gpu0`. */
export type Names = ReadonlyMap<string, string>;

export const namesOf = (topology: Topology): Names =>
  new Map([...shortNames(topology)].map(([row, name]) => [topology.bdfOf(row), name]));

export const nameOf = (bdf: string, names: Names): string => names.get(bdf) ?? shortBdf(bdf);

export const pairText = ({ provider, client }: PairName, names: Names): string =>
  `${nameOf(provider, names)} to ${nameOf(client, names)}`;
