/**
 * Virtual platform: does a listing show a machine that a hypervisor made?
 *
 * Only devices that no real machine has count: a virtio or ENA function alone may be a card's. Not
 * finding one proves nothing, since a hypervisor may pass everything through.
 */
import { wordAt } from "../../config-space.ts";
import type { FunctionRecord } from "../../function-record.ts";
import type { FunctionDraft } from "./function-draft.ts";

/** Vendor and device ids of hypervisors' own bridges and service devices (pci.ids). */
const SERVICE_DEVICES: ReadonlySet<number> = new Set([
  0x1b36_0008, // QEMU PCIe host bridge
  0x1b36_000b, // QEMU expander host bridge
  0x15ad_0740, // VMware VMCI
  0x15ad_0790, // VMware PCI bridge
  0x15ad_07a0, // VMware PCI Express root port
  0x80ee_cafe, // VirtualBox guest service
  0x1414_5353, // Hyper-V VGA
  0x5853_0001, // Xen platform device
]);
/** Subsystem of every chipset function that QEMU makes, `1af4:1100`. */
const QEMU_SUBSYSTEM = 0x1af4_1100;
const HOST_BRIDGE_KIND = 0x0600;

export const virtualPlatformOf = (
  drafts: readonly FunctionDraft[],
  records: readonly FunctionRecord[],
): boolean =>
  records.some((record, index) => {
    const { vendor = 0, device = 0, classCode = 0 } = record;
    const isHostBridge = classCode >> 8 === HOST_BRIDGE_KIND;
    return (
      SERVICE_DEVICES.has(vendor * 0x10000 + device) ||
      (isHostBridge && subsystemOf(drafts[index], record) === QEMU_SUBSYSTEM)
    );
  });

function subsystemOf(draft: FunctionDraft | undefined, { config }: FunctionRecord): number {
  if (config !== undefined && config.length > 0) {
    return wordAt(config, 0x2c) * 0x10000 + wordAt(config, 0x2e);
  }
  return (draft?.subsystemVendor ?? 0) * 0x10000 + (draft?.subsystemDevice ?? 0);
}
