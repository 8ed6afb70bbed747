/**
 * Live framework: opens drivers, makes buffers, counts what is out and takes it back at the end.
 *
 * Nothing else in core knows that a container exists.
 */
import type { Observable } from "rxjs";
import { ContainerInstance } from "typedi";
import type { BufferControl } from "../buffer-control.ts";
import type { Device } from "../device.ts";
import { asDriverFault } from "../driver.ts";
import { PeerbufError } from "../error.ts";
import { EventSource, type FrameworkEvent } from "../events.ts";
import type { AllocateOptions, Exporter, ExporterDriver, Storage } from "../exporter.ts";
import type {
  Framework,
  FrameworkOptions,
  HandleCounts,
  Opened,
  OpenedExporter,
} from "../framework.ts";
import type { ImporterDriver } from "../importer.ts";
import type { Platform } from "../platform.ts";
import { CLOCK, DEVICE, FENCES, type Services, servicesFrom } from "../services.ts";
import { FenceDomain } from "../sync/fence-context.ts";
import type { WaitOptions } from "../sync/wait.ts";
import type { Judge } from "../verdict.ts";
import { LiveDmaBuf, requireSize } from "./live-dma-buf.ts";
import type { Origin } from "./origin.ts";

/** Puts platform, rules and drivers together. */
export function createFramework(options: FrameworkOptions): Framework {
  return new LiveFramework(options);
}

/** One opened driver, for closing in reverse order. */
interface OpenDriver {
  readonly name: string;
  close(): void;
  /** What is left when it could not be closed: it counts no longer, and its device is free. */
  abandon(): void;
}

class LiveFramework implements Framework {
  readonly platform: Platform;
  readonly traceHandles: boolean;
  readonly #judge: Judge;
  readonly fences: FenceDomain;
  readonly #events = new EventSource();
  readonly #drivers: OpenDriver[] = [];
  readonly #buffers = new Set<LiveDmaBuf>();
  #buffersMade = 0;
  #open = true;

  constructor(options: FrameworkOptions) {
    this.platform = options.platform;
    this.#judge = options.judge;
    this.fences = new FenceDomain(options.platform.clock);
    this.traceHandles = options.traceHandles ?? false;
  }

  get events(): Observable<FrameworkEvent> {
    return this.#events.stream;
  }

  openExporter<Options, Api>(
    driver: ExporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): OpenedExporter<Api> {
    const { name, device, services } = this.#prepare(driver, deviceId);
    const exporter = this.#openOn(name, device, () => driver.open(services, options));
    let isOpen = true;
    const close = (): void => {
      this.#closeExporter(name, exporter);
      isOpen = false;
    };
    const allocate = this.#allocator(name, device, exporter, () => isOpen);
    const opened = this.#opened(name, device, exporter.api, close);
    return { api: opened.api, close: opened.close, [Symbol.dispose]: opened.close, allocate };
  }

  openImporter<Options, Api>(
    driver: ImporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): Opened<Api> {
    const { name, device, services } = this.#prepare(driver, deviceId);
    const importer = this.#openOn(name, device, () => driver.open(services, options));
    return this.#opened(name, device, importer.api, () => importer.close?.());
  }

  handles(): HandleCounts {
    let attachments = 0;
    let mappings = 0;
    let pins = 0;
    for (const buffer of this.#buffers) {
      attachments += buffer.attachments.length;
      for (const attachment of buffer.attachments) {
        mappings += attachment.mappingCount;
        pins += attachment.pinCount;
      }
    }
    return {
      drivers: this.#drivers.length,
      buffers: this.#buffers.size,
      attachments,
      mappings,
      pins,
    };
  }

  close(): void {
    if (!this.#open) {
      return;
    }
    this.#open = false;
    const failures: PeerbufError[] = [];
    const leaks = this.#reclaim(failures);
    this.#closeDrivers(failures);
    for (const { origin, reservation } of this.#buffers) {
      leaks.push(
        `${origin}, whose memory waits for ${reservation.describe().join(", ") || "explicit-sync work"}`,
      );
    }
    this.#events.end();
    if (leaks.length > 0) {
      const message = `not given back before the framework closed: ${leaks.join("; ")}`;
      throw new PeerbufError("HANDLE_LEAKED", message, { cause: failures[0] });
    }
    if (failures.length > 0) {
      throw failures[0];
    }
  }

  async idle(options: WaitOptions = {}): Promise<void> {
    const closed = [...this.#buffers].filter((buffer) => buffer.isClosed);
    await Promise.all(closed.map(({ reservation }) => reservation.idle("bookkeep", options)));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Called by a buffer when its memory is back with the exporter. */
  released(buffer: LiveDmaBuf): void {
    this.#buffers.delete(buffer);
    if (this.#events.watched) {
      this.#events.send({
        kind: "buffer-released",
        buffer: buffer.name,
        sizeBytes: buffer.sizeBytes,
      });
    }
  }

  /** Checks who may be opened and fills a private container with what the platform offers it. */
  #prepare(
    driver: { name: string; needsDevice: boolean },
    deviceId: string | undefined,
  ): { name: string; device: Device | undefined; services: Services } {
    if (!this.#open) {
      throw new PeerbufError(
        "FRAMEWORK_CLOSED",
        `${driver.name} cannot be opened: the framework is closed`,
      );
    }
    if (driver.needsDevice && deviceId === undefined) {
      throw new PeerbufError("ARGUMENT_INVALID", `${driver.name} drives a device: say which`);
    }
    const device = deviceId === undefined ? undefined : this.platform.device(deviceId);
    const name = device === undefined ? driver.name : `${driver.name}@${device.id}`;
    if (this.#drivers.some((open) => open.name === name)) {
      throw new PeerbufError("WRONG_ORDER", `${name} is open already`);
    }
    return { name, device, services: servicesFrom(this.#container(name, device), name) };
  }

  /** Private to one driver: what core gives to all, then what the platform has for this device. */
  #container(name: string, device: Device | undefined): ContainerInstance {
    const container = new ContainerInstance(name);
    container.set(CLOCK, this.platform.clock);
    container.set(FENCES, this.fences);
    if (device !== undefined) {
      container.set(DEVICE, device);
    }
    this.platform.provide(device, { set: (token, service) => container.set(token, service) });
    return container;
  }

  #openDriver<T>(name: string, open: () => T): T {
    try {
      return open();
    } catch (error) {
      throw asDriverFault(error, name);
    }
  }

  /** As `#openDriver`; who could not be opened has no use for its device. */
  #openOn<T>(name: string, device: Device | undefined, open: () => T): T {
    try {
      return this.#openDriver(name, open);
    } catch (error) {
      this.platform.release?.(device);
      throw error;
    }
  }

  #opened<Api>(
    name: string,
    device: Device | undefined,
    api: Api,
    closeDriver: () => void,
  ): Opened<Api> {
    const open: OpenDriver = {
      name,
      close: () => {
        if (!this.#drivers.includes(open)) {
          return;
        }
        this.#openDriver(name, closeDriver);
        open.abandon();
        this.#tellDriver("driver-closed", name);
      },
      abandon: () => {
        this.#drivers.splice(this.#drivers.indexOf(open), 1);
        this.platform.release?.(device);
      },
    };
    this.#drivers.push(open);
    this.#tellDriver("driver-opened", name);
    return { api, close: open.close, [Symbol.dispose]: open.close };
  }

  /** Newest first, every one of them, whatever the others do. Adds what went wrong. */
  #closeDrivers(failures: PeerbufError[]): void {
    for (const driver of [...this.#drivers].reverse()) {
      collect(failures, driver.name, () => driver.close());
      if (this.#drivers.includes(driver)) {
        driver.abandon();
      }
    }
  }

  /** While the framework lives, a driver stays as long as its buffers; at the end it ends their work. */
  #closeExporter<Api>(name: string, exporter: Exporter<Api>): void {
    const held = [...this.#buffers].find((buffer) => buffer.exporter === name);
    if (held !== undefined && this.#open) {
      throw new PeerbufError("WRONG_ORDER", `${name} cannot be closed: ${held.origin} still lives`);
    }
    exporter.close?.();
  }

  #allocator<Api>(
    exporterName: string,
    device: Device | undefined,
    exporter: Exporter<Api>,
    isOpen: () => boolean,
  ): OpenedExporter<Api>["allocate"] {
    const allocate: OpenedExporter<Api>["allocate"] = (sizeBytes, options) => {
      if (!this.#open) {
        throw new PeerbufError(
          "FRAMEWORK_CLOSED",
          `${exporterName} cannot allocate: the framework is closed`,
        );
      }
      if (!isOpen()) {
        throw new PeerbufError("HANDLE_CLOSED", `${exporterName} cannot allocate: it is closed`);
      }
      requireSize(sizeBytes);
      const name = options?.name ?? `buffer-${++this.#buffersMade}`;
      const wishes = wishesIn(options);
      const facts = {
        name,
        sizeBytes,
        exporter: exporterName,
        device,
        platform: this.platform,
        judge: this.#judge,
        events: this.#events,
      };
      const take = (control: BufferControl): Storage =>
        this.#openDriver(exporterName, () => exporter.allocate(sizeBytes, wishes, control));
      const buffer = new LiveDmaBuf(this, facts, take, allocate);
      this.#buffers.add(buffer);
      if (this.#events.watched) {
        this.#events.send({ kind: "buffer-exported", buffer: name, sizeBytes });
      }
      return buffer;
    };
    return allocate;
  }

  /** Gives back what users still hold, newest first, whatever drivers throw; returns what it was. */
  #reclaim(failures: PeerbufError[]): string[] {
    const leaks: string[] = [];
    const held = [...this.#buffers].filter((buffer) => !buffer.isClosed);
    for (const buffer of held.reverse()) {
      const give = (origin: Origin, step: () => void): void => {
        leaks.push(`${origin}`);
        collect(failures, buffer.exporter, step);
      };
      for (const attachment of [...buffer.attachments].reverse()) {
        for (const mapping of [...attachment.mappings].reverse()) {
          give(mapping.origin, () => mapping[Symbol.dispose]());
        }
        while (attachment.pinCount > 0) {
          collect(failures, buffer.exporter, () => attachment.unpin());
        }
        give(attachment.origin, () => attachment[Symbol.dispose]());
      }
      for (const access of buffer.cpuAccesses) {
        give(access.origin, () => access.abandon());
      }
      give(buffer.origin, () => buffer[Symbol.dispose]());
    }
    return leaks;
  }

  #tellDriver(kind: "driver-opened" | "driver-closed", driver: string): void {
    if (this.#events.watched) {
      this.#events.send({ kind, driver });
    }
  }
}

/** All but the name, which is the framework's. */
function wishesIn(options: Parameters<OpenedExporter<object>["allocate"]>[1]): AllocateOptions {
  if (options === undefined) {
    return {};
  }
  const { name: _, ...wishes } = options;
  return wishes;
}

/** One step of many at the end: what it throws keeps none of the others from being done. */
function collect(failures: PeerbufError[], driver: string, step: () => void): void {
  try {
    step();
  } catch (error) {
    failures.push(asDriverFault(error, driver));
  }
}
