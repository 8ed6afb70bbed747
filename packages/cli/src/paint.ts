/**
 * Paint: colours by meaning, so that all commands use the same ones.
 *
 * Only on a terminal; `NO_COLOR` (https://no-color.org) wins over `FORCE_COLOR`.
 */
import pc from "picocolors";
import type { Io, Output } from "./io.ts";

export interface Paint {
  good(text: string): string;
  fair(text: string): string;
  bad(text: string): string;
  /** Names of things: devices, transfers. */
  name(text: string): string;
  /** What is there for completeness. */
  faint(text: string): string;
  strong(text: string): string;
}

export function paintFor(output: Output, env: Io["env"]): Paint {
  const colors = pc.createColors(wantsColor(output, env));
  return {
    good: colors.green,
    fair: colors.yellow,
    bad: colors.red,
    name: colors.cyan,
    faint: colors.dim,
    strong: colors.bold,
  };
}

function wantsColor(output: Output, env: Io["env"]): boolean {
  if (isSet(env["NO_COLOR"])) {
    return false;
  }
  return isSet(env["FORCE_COLOR"]) || (output.isTerminal && env["TERM"] !== "dumb");
}

const isSet = (value: string | undefined): boolean => value !== undefined && value !== "";
