/**
 * Refusal: the typed error that something ended in, as its code; anything else that was thrown by its text.
 */
import { PeerbufError } from "@peerbuf/core";

export const codeIn = (error: unknown): string =>
  error instanceof PeerbufError ? error.code : `not a PeerbufError: ${error}`;

export function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return codeIn(error);
  }
  return "no error";
}

export const codeOfAsync = (promise: Promise<unknown>): Promise<string> =>
  promise.then(() => "no error", codeIn);
