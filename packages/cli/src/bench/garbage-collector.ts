/** Garbage collector: V8's own, as with --expose-gc, without asking the user for the flag. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

export function garbageCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
