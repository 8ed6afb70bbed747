/** The public surface of `@peerbuf/testkit`. Everything not named here is private. */
export type { Decisions } from "./explorer/decisions.ts";
