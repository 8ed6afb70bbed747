/**
 * Bulk driver: what the drivers of devices with a bulk engine have in common, which is all but whom
 * they are willing to talk to.
 */
import {
  DEVICE,
  type Device,
  type DmaBuf,
  FENCES,
  type Importer,
  type Mapping,
  type OpenedImporter,
  type Services,
} from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import { BulkEngine } from "./bulk-engine.ts";
import { withMapping } from "./import.ts";
import { type BulkRange, checkedRange, piecesOf } from "./range.ts";

/**
 * Errors of both calls: `DEVICE_FAILED` with the engine's reason, `DEVICE_GONE` when the device is closed
 * or was stopped, `ARGUMENT_INVALID` for a range outside of buffer or device, and what attach and map
 * refuse. Transfers run one after the other, in the order of the calls.
 */
export interface BulkTransfers {
  /** The device's own memory. */
  readonly sizeBytes: number;
  /** Buffer to device: the device reads the buffer. */
  write(buffer: DmaBuf, range?: BulkRange): Promise<Negotiated>;
  /** Device to buffer: the device writes the buffer. */
  read(buffer: DmaBuf, range?: BulkRange): Promise<Negotiated>;
}

export interface BulkDriverParts {
  readonly services: Services;
  readonly name: string;
  /** One of `KIND`. */
  readonly kind: number;
  /** The driver's answers, for one transfer; `stop` ends that transfer at once, with a text as the reason. */
  importer(device: Device, stop: AbortController): Importer;
  /** Mappings of this kind lead over the private link. Default: none does. */
  isOverLink?(mapping: Mapping): boolean;
}

export function openBulkDriver(parts: BulkDriverParts): OpenedImporter<BulkTransfers> {
  const { services, name, kind } = parts;
  const device = services.get(DEVICE);
  const fences = services.get(FENCES);
  const engine = new BulkEngine(services, name, kind);

  async function transfer(buffer: DmaBuf, wish: BulkRange, toLocal: boolean): Promise<Negotiated> {
    const { deviceOffset, offset, lengthBytes } = checkedRange(buffer, wish, engine.localBytes);
    const stop = new AbortController();
    const importer = parts.importer(device, stop);
    const direction = toLocal ? "to-device" : "from-device";
    return await withMapping(fences, buffer, importer, direction, (mapping) =>
      engine.move({
        pieces: piecesOf(mapping.segments, offset, lengthBytes),
        localOffset: deviceOffset,
        toLocal,
        overLink: parts.isOverLink?.(mapping) ?? false,
        signal: stop.signal,
      }),
    );
  }

  return {
    api: {
      sizeBytes: engine.localBytes,
      write: (buffer, range = {}) => transfer(buffer, range, true),
      read: (buffer, range = {}) => transfer(buffer, range, false),
    },
    close: () => engine.close(),
  };
}
