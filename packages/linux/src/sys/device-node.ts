/**
 * Device node: says what is missing where a node is not there, and what to do about it.
 */
import { PeerbufError } from "@peerbuf/core";

/** `enabledBy` names the kernel options or the module that would make the node. */
export function missingNode(
  path: string,
  enabledBy: string,
  present: readonly string[] = [],
): PeerbufError {
  const others = present.length === 0 ? "" : ` There are: ${present.join(", ")}.`;
  return new PeerbufError(
    "PLATFORM_MISSING",
    `${path} is not there: this kernel lacks ${enabledBy}, or the node is not visible here (container?).${others}`,
    { errno: "ENODEV" },
  );
}
