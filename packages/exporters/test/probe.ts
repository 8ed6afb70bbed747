/**
 * Probe: a device without manners, which issues whatever a test tells it to, mapped or not.
 */
import type { BarModel, DeviceModel, DevicePort } from "@peerbuf/machine";

export class Probe implements DeviceModel {
  readonly name = "probe";
  #port: DevicePort | undefined;

  connect(port: DevicePort): ReadonlyMap<number, BarModel> {
    this.#port = port;
    return new Map();
  }

  reset(): void {}

  read(address: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.#port?.read(address, bytes, 0, lengthBytes);
    return bytes;
  }

  write(address: number, bytes: Uint8Array): void {
    this.#port?.write(address, bytes, 0, bytes.length);
  }
}
