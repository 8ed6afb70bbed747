/**
 * Scenes: which functions of which capture an exporter and an importer sit in.
 *
 * A driver that is left out finds no function there whose BARs suit its hardware.
 */
import type { ExporterName } from "./exporting.ts";
import type { ImporterName } from "./importing.ts";

export interface Scene {
  readonly title: string;
  readonly capture: string;
  /** BDF for each exporter; a heap needs none. */
  readonly owners: Readonly<Partial<Record<ExporterName, string>>>;
  /** BDF for each importer. */
  readonly clients: Readonly<Partial<Record<ImporterName, string>>>;
}

const HEAP = { "system-heap": "" };
const RDMA = ["rdma pinned", "rdma revocable", "rdma on-demand"] as const;

export const SCENES: readonly Scene[] = [
  {
    title: "server-05: both below one switch",
    capture: "server-05",
    owners: {
      ...HEAP,
      ...everywhere("0000:3b:00.0", ["gpu", "apu", "vfio", "accelerator-memory"]),
    },
    clients: {
      nvme: "0000:3e:00.0",
      ...everywhere("0000:3d:00.0", RDMA),
      "gpu-peer": "0000:3c:00.0",
      accelerator: "0000:3c:00.0",
      usb: "0000:3c:00.0",
      "platform-device": "0000:00:05.0",
    },
  },
  {
    title: "server-05: below two root ports of one listed host bridge",
    capture: "server-05",
    owners: {
      ...HEAP,
      ...everywhere("0000:3b:00.0", ["gpu", "apu", "vfio", "accelerator-memory"]),
    },
    clients: everywhere("0000:3f:00.0", ["nvme", ...RDMA, "usb", "platform-device"]),
  },
  {
    title: "switch-03: both below one switch, the exporter in the drive with a memory buffer",
    capture: "switch-03",
    owners: {
      ...HEAP,
      ...everywhere("0000:03:00.0", ["gpu", "apu", "vfio", "nvme-cmb", "accelerator-memory"]),
    },
    clients: {
      nvme: "0000:07:00.0",
      ...everywhere("0000:06:00.0", RDMA),
      "gpu-peer": "0000:04:00.0",
      accelerator: "0000:04:00.0",
      usb: "0000:07:00.0",
      "platform-device": "0000:06:00.1",
    },
  },
  {
    title: "multihost-08: behind a bridge to conventional PCI, and below a switch beside it",
    capture: "multihost-08",
    owners: {
      ...HEAP,
      ...everywhere("0000:41:01.0", ["gpu", "apu", "vfio", "accelerator-memory"]),
    },
    clients: {
      nvme: "0000:45:00.2",
      ...everywhere("0000:44:00.0", RDMA),
      "gpu-peer": "0000:45:00.0",
      accelerator: "0000:45:00.0",
      usb: "0000:44:00.1",
      "platform-device": "0000:22:00.0",
    },
  },
];

function everywhere<Name extends string>(
  bdf: string,
  names: readonly Name[],
): Record<Name, string> {
  return Object.fromEntries(names.map((name) => [name, bdf])) as Record<Name, string>;
}
