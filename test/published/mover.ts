/**
 * Mover: the plainest device that can show what links do: memory behind its large BAR, and an engine that moves it.
 *
 * Its engine is as fast as it is told to be, without limit unless told.
 */
import {
  type BarModel,
  type BarShape,
  type DeviceLimit,
  type DeviceModel,
  type DevicePort,
  SparseMemory,
} from "@peerbuf/machine";

export class Mover implements DeviceModel {
  readonly name = "mover";
  readonly memory: SparseMemory = new SparseMemory(64 * 2 ** 20);
  readonly #limit: DeviceLimit | undefined;
  #port: DevicePort | undefined;

  constructor(bytesPerNs?: number) {
    this.#limit = bytesPerNs === undefined ? undefined : { name: "engine", perNs: bytesPerNs };
  }

  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel> {
    this.#port = port;
    const large = bars.find(({ prefetchable }) => prefetchable) as BarShape;
    return new Map([[large.index, { kind: "memory", memory: this.memory, base: 0 }]]);
  }

  reset(): void {
    this.memory.clear();
  }

  /** Sends the first bytes of its memory to `address`. */
  push(address: number, lengthBytes: number, done: () => void): void {
    this.#move("write", address, lengthBytes, () => {
      this.#port?.writeFrom(address, this.memory, 0, lengthBytes);
      done();
    });
  }

  /** Fetches bytes from `address` to the start of its memory. */
  pull(address: number, lengthBytes: number, done: () => void): void {
    this.#move("read", address, lengthBytes, () => {
      this.#port?.readInto(address, this.memory, 0, lengthBytes);
      done();
    });
  }

  #move(kind: "read" | "write", address: number, lengthBytes: number, done: () => void): void {
    const legs = [{ kind, runs: [address, lengthBytes] }];
    const limits = this.#limit === undefined ? [] : [{ limit: this.#limit, amount: lengthBytes }];
    this.#port?.transfer({ legs, limits }, done);
  }
}
