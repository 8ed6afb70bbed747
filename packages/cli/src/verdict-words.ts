/** Verdict words: one colour for each answer of topology, in every command. */
import type { PathType } from "@peerbuf/core";
import type { Paint } from "./paint.ts";

export function paintType(paint: Paint, type: PathType, text: string = type): string {
  switch (type) {
    case "bus-addr":
      return paint.good(text);
    case "host-bridge":
      return paint.fair(text);
    case "unsupported":
      return paint.bad(text);
    case "unknown":
      return paint.faint(text);
  }
}
