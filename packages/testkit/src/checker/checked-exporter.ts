/**
 * Checked exporter: an exporter driver whose buffers are watched from allocation to release.
 */
import {
  type AllocateOptions,
  type BufferControl,
  type Exporter,
  type ExporterDriver,
  PeerbufError,
  type Storage,
} from "@peerbuf/core";
import { checkedStorage } from "./checked-storage.ts";
import { messageOf } from "./fence-book.ts";
import type { PlacedBuffer } from "./placement-check.ts";
import type { Watch } from "./watch.ts";

export function checkedExporter<Options, Api>(
  watch: Watch,
  driver: ExporterDriver<Options, Api>,
  name: string,
): ExporterDriver<Options, Api> {
  return {
    ...driver,
    open: (services, options) => {
      const opened = watch.actors.run(name, () =>
        typed(watch, name, "open", () => driver.open(services, options)),
      );
      return watched(watch, name, opened);
    },
  };
}

function watched<Api>(watch: Watch, name: string, exporter: Exporter<Api>): Exporter<Api> {
  const alive = new Set<PlacedBuffer>();
  const { close } = exporter;
  const allocate = (
    sizeBytes: number,
    options: AllocateOptions,
    control: BufferControl,
  ): Storage => {
    const storage = watch.actors.run(name, () =>
      typed(watch, name, "allocate", () => exporter.allocate(sizeBytes, options, control)),
    );
    requireStorage(watch, name, storage);
    const facts = { watch, exporter: name, sizeBytes, control, alive };
    return checkedStorage(storage, facts);
  };
  return {
    api: exporter.api,
    allocate,
    ...(close && { close: () => watch.actors.run(name, () => close.call(exporter)) }),
  };
}

/** A `return` that was forgotten, or an `async` too many. */
function requireStorage(watch: Watch, name: string, storage: Storage | null | undefined): void {
  if (!Array.isArray(storage?.types)) {
    const text = "allocate answered no storage: an object with types, place and release, at once";
    watch.log.report("EXP-001", name, text);
    throw new PeerbufError("DRIVER_BROKEN", `${name}: ${text}`);
  }
}

/** A step that may refuse, as a `PeerbufError` and in no other way. */
function typed<T>(watch: Watch, name: string, what: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!(error instanceof PeerbufError)) {
      watch.log.report("EXP-003", name, `${what} threw ${messageOf(error)}`);
    }
    throw error;
  }
}
