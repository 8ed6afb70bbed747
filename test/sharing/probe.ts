/** Probes: the smallest device models; one that only has a port, and one with memory behind a BAR. */
import { type DeviceModel, type DevicePort, SparseMemory } from "@peerbuf/machine";

/** A device that does what the test tells it, mapping or no mapping. */
export interface Probe extends DeviceModel {
  readonly port: DevicePort;
}

export function probe(): Probe {
  let port: DevicePort | undefined;
  return {
    name: "probe",
    get port() {
      if (port === undefined) {
        throw new Error("this probe has not been placed");
      }
      return port;
    },
    connect(own) {
      port = own;
      return new Map();
    },
    reset() {},
  };
}

/** Memory behind the largest BAR, and nothing else. */
export function memoryBehindBar(): DeviceModel {
  return {
    name: "memory",
    connect(_port, bars) {
      const [largest] = [...bars].sort((one, other) => other.sizeBytes - one.sizeBytes);
      if (largest === undefined) {
        throw new Error("this function has no memory BAR");
      }
      const memory = new SparseMemory(largest.sizeBytes);
      return new Map([[largest.index, { kind: "memory", memory, base: 0 }]]);
    },
    reset() {},
  };
}
