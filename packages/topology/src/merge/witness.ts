/**
 * Witness: what one of several captures says, and the refusal when two of them cannot both be right.
 */
import { InputError } from "@peerbuf/core";
import type { FunctionRecord } from "../function-record.ts";

/** One function as one capture has it. */
export interface Witness {
  readonly source: string;
  readonly record: FunctionRecord;
}

/** Two captures that cannot be of one machine, or not of one boot of it. */
export const refusedMerge = (
  sources: readonly string[],
  place: string | undefined,
  cause: string,
): InputError =>
  new InputError({
    source: [...new Set(sources)].join(" and "),
    ...(place !== undefined && { place }),
    cause,
    remedy: "Give together only captures of one machine, made without a reboot between them",
  });
