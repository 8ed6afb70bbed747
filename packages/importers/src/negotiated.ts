/**
 * Negotiated: how one import went, for whoever shows or checks it.
 *
 * Taken from attachment and mapping while they live; stays readable after they are gone.
 */
import type { Attachment, Decision, Mapping, Placement, Route } from "@peerbuf/core";

export interface Negotiated {
  /** Name of the mapping type. */
  readonly type: string;
  /** Where the bytes were. */
  readonly target: Placement["target"];
  /** How they got there. */
  readonly route: Route;
  /** `true`: through memory that the importer brought. */
  readonly copied: boolean;
  readonly segmentCount: number;
  /** Who said what, oldest first. */
  readonly decisions: readonly Decision[];
}

export function negotiatedOf(attachment: Attachment, mapping: Mapping): Negotiated {
  const { type, target, route, copied, segments } = mapping;
  return {
    type: type.name,
    target,
    route,
    copied,
    segmentCount: segments.count,
    decisions: [...attachment.decisions],
  };
}
