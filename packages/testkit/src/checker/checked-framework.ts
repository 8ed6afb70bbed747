/**
 * Checked framework: a framework whose drivers and buffers are watched from open to close.
 */
import {
  createFramework,
  type ExporterDriver,
  type Framework,
  type FrameworkOptions,
  type HandleCounts,
  type ImporterDriver,
  type Opened,
  type OpenedExporter,
} from "@peerbuf/core";
import { checkedExporter } from "./checked-exporter.ts";
import { CheckedPlatform, type Opening } from "./checked-platform.ts";
import type { Watch } from "./watch.ts";
import type { WatchedAttachment } from "./watched-attachment.ts";
import { watchBuffer } from "./watched-buffer.ts";

export class CheckedFramework implements Framework {
  readonly platform: Framework["platform"];
  readonly #platform: CheckedPlatform;
  readonly #inner: Framework;
  readonly #watch: Watch;
  readonly #attached = new Set<WatchedAttachment>();

  constructor(watch: Watch, options: FrameworkOptions) {
    this.#watch = watch;
    this.#platform = new CheckedPlatform(options.platform, watch);
    this.platform = this.#platform;
    this.#inner = createFramework({ ...options, platform: this.#platform });
  }

  get events(): Framework["events"] {
    return this.#inner.events;
  }

  openExporter<Options, Api>(
    driver: ExporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): OpenedExporter<Api> {
    const opening = this.#opening(driver.name, "exporter", deviceId);
    const checked = checkedExporter(this.#watch, driver, opening.name);
    const opened = this.#during(opening, () =>
      this.#inner.openExporter(checked, deviceId, options),
    );
    const allocate: OpenedExporter<Api>["allocate"] = (sizeBytes, wishes) => {
      const buffer = opened.allocate(sizeBytes, wishes);
      watchBuffer(this.#watch, buffer, this.#attached);
      return buffer;
    };
    return { ...this.#closing(opened, opening), allocate };
  }

  openImporter<Options, Api>(
    driver: ImporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): Opened<Api> {
    const opening = this.#opening(driver.name, "importer", deviceId);
    const { actors } = this.#watch;
    const checked: ImporterDriver<Options, Api> = {
      ...driver,
      open: (services, own) => actors.run(opening.name, () => driver.open(services, own)),
    };
    const opened = this.#during(opening, () =>
      this.#inner.openImporter(checked, deviceId, options),
    );
    return this.#closing(opened, opening);
  }

  handles(): HandleCounts {
    return this.#inner.handles();
  }

  idle(options?: Parameters<Framework["idle"]>[0]): Promise<void> {
    return this.#inner.idle(options);
  }

  close(): void {
    this.#inner.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #opening(driver: string, role: Opening["role"], deviceId: string | undefined): Opening {
    const device = deviceId === undefined ? undefined : this.platform.device(deviceId);
    const name = device === undefined ? driver : `${driver}@${device.id}`;
    return { name, role, device, closing: [] };
  }

  /** The platform gives services only while a driver is opened. */
  #during<T>(opening: Opening, open: () => T): T {
    this.#platform.opening = opening;
    try {
      return open();
    } finally {
      this.#platform.opening = undefined;
    }
  }

  #closing<Api>(opened: Opened<Api>, opening: Opening): Opened<Api> {
    let isClosed = false;
    const close = (): void => {
      this.#watch.actors.run(opening.name, () => opened.close());
      if (!isClosed) {
        isClosed = true;
        this.#closed(opening);
      }
    };
    this.#watch.atEnd({
      ask: () => {
        if (!isClosed) {
          isClosed = true;
          this.#closed(opening);
        }
      },
    });
    return { api: opened.api, close, [Symbol.dispose]: close };
  }

  /** What a closed driver still holds is lost. */
  #closed({ name, role, closing }: Opening): void {
    for (const service of closing) {
      service.closed();
    }
    for (const { ranges, origin } of this.#watch.host.heldBy(name)) {
      const text = `keeps ${ranges.sizeBytes} bytes of host memory after close`;
      this.#watch.log.report(role === "exporter" ? "EXP-021" : "IMP-025", name, text, origin);
    }
    for (const { attachment, importer, origin } of this.#attached) {
      if (importer === name) {
        const text = `is closed and still attached to "${attachment.buffer.name}"`;
        this.#watch.log.report("IMP-025", name, text, origin);
      }
    }
  }
}
