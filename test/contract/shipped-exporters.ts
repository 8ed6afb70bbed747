/**
 * Shipped exporters: each with its hardware on the modelled machine, and how the suite makes it move or lose its memory.
 */
import { DMA, type DmaBuf, interconnect } from "@peerbuf/core";
import {
  acceleratorMemory,
  apu,
  gpu,
  nvmeCmb,
  systemHeap,
  type Vfio,
  vfio,
} from "@peerbuf/exporters";
import {
  type BarMemory,
  type CarveOut,
  createAccelerator,
  createBarMemory,
  createGpu,
  createNvmeController,
  PrivateLink,
} from "@peerbuf/machine";
import { type Contract, exporterContract } from "@peerbuf/testkit";
import { machineWorld } from "./machine-world.ts";

const MIB = 2 ** 20;
/** Here the drive's BAR is large enough for a memory buffer. */
const DRIVES = {
  capture: "switch-03",
  home: "0000:03:00.0",
  clients: ["0000:04:00.0", "0000:06:00.0"],
} as const;

/** An importer that needs system memory drags the buffer there. */
function dragOut(_api: object, buffer: DmaBuf): void {
  const [first] = buffer.attachments;
  if (first === undefined) {
    throw new Error("nobody is attached");
  }
  const offer = () => ({ answer: "offer", types: [{ type: DMA }] }) as const;
  const importer = { name: "dragger", device: first.client, offer, invalidateMappings() {} };
  using attachment = buffer.attach(importer);
  attachment.map("to-device").unmap();
}

export function shippedExporters(): Contract[] {
  const carveOuts: CarveOut[] = [];
  const cards: BarMemory[] = [];
  const handed = {
    reset: () => cards.at(-1)?.reset(),
    setMemoryEnabled: () => undefined,
  };
  return [
    exporterContract(systemHeap, {}, () => machineWorld()),
    exporterContract(systemHeap),
    exporterContract(gpu, { move: dragOut }, () =>
      machineWorld({ home: () => createGpu({ vramBytes: 64 * MIB }) }),
    ),
    exporterContract(apu, { move: dragOut }, () =>
      machineWorld({
        home: ({ memory }) => {
          const carveOut = memory.carveOut(16 * MIB);
          carveOuts.push(carveOut);
          return createGpu({ carveOut });
        },
      }),
    ),
    exporterContract(
      vfio,
      {
        options: handed,
        isWindow: true,
        revoke: (api: Vfio) => api.disableMemory(),
        restore: (api: Vfio) => api.enableMemory(),
      },
      () =>
        machineWorld({
          home: () => {
            const card = createBarMemory();
            cards.push(card);
            return card;
          },
        }),
    ),
    exporterContract(nvmeCmb, {}, () =>
      machineWorld({
        site: DRIVES,
        home: () => createNvmeController({ capacityBytes: MIB, memoryBuffer: true }),
      }),
    ),
    exporterContract(acceleratorMemory, { options: { link: interconnect("link0") } }, () =>
      machineWorld({
        home: () => createAccelerator({ memoryBytes: 64 * MIB, link: new PrivateLink() }),
      }),
    ),
  ];
}
