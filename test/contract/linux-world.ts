/**
 * Linux world: the running kernel as a ground for contract suites; the device is the process itself.
 */
import {
  createFramework,
  DEVICE,
  defineImporter,
  HOST_MEMORY,
  type HostMemory,
  type PhysicalAddress,
} from "@peerbuf/core";
import { createLinuxPlatform, kernelJudge, type LinuxPlatformOptions } from "@peerbuf/linux";
import type { ContractWorld } from "@peerbuf/testkit";

/** A device whose engine is this process's own loads and stores. */
const hands = defineImporter<undefined, HostMemory>({
  name: "hands",
  needsDevice: true,
  open: (services) => {
    services.get(DEVICE);
    return { api: services.get(HOST_MEMORY) };
  },
});

export function linuxWorld(options?: LinuxPlatformOptions): ContractWorld {
  const platform = createLinuxPlatform(options);
  const framework = createFramework({ platform, judge: kernelJudge });
  const { api: memory } = framework.openImporter(hands, "process", undefined);
  let quietTurns = 0;
  return {
    platform,
    judge: kernelJudge,
    clients: ["process", "process"],
    // Timers of the kernel fire when they fire: a few milliseconds without one count as rest.
    settle: async () => {
      await new Promise((done) => setTimeout(done, 1));
      quietTurns = (quietTurns + 1) % 4;
      return quietTurns !== 0;
    },
    async transfer(_client, segments, kind, bytes) {
      for (let index = 0, at = 0; index < segments.count; index++) {
        const piece = bytes.subarray(at, at + segments.lengthBytes(index));
        memory[kind](segments.address(index) as number as PhysicalAddress, piece);
        at += piece.length;
      }
      return true;
    },
    close() {
      framework.close();
      platform.close();
    },
  };
}
