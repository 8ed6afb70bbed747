/** Linux only: the sentence for commands that need the real kernel, said before anything native is loaded. */
import { InputError } from "@peerbuf/core";

/** @throws InputError away from Linux */
export function requireLinux(): void {
  if (process.platform !== "linux") {
    throw new InputError({
      source: "this machine",
      cause: `dma-bufs are a thing of Linux, and this is ${process.platform}`,
      remedy: "Run it on a Linux machine",
    });
  }
}
