/**
 * USB drive: an xHCI host controller with one bulk-only storage device on its root port.
 *
 * On a real bus the drive sends packets and the host controller (a PCI function, or a block of a SoC) does
 * the DMA for it. So it is here: the model sits in the controller's place and issues the controller's
 * requests; the drive behind it has no DMA at all. Packets themselves, hubs, periodic endpoints, streams
 * and power management are left out.
 */
import type { BarModel, BarShape, DeviceModel } from "../device-model.ts";
import type { SparseMemory } from "../sparse-memory.ts";
import { requireBar } from "./bar-choice.ts";
import { registerWindow } from "./register-window.ts";
import { BulkOnlyDrive } from "./xhci/bulk-only-drive.ts";
import { HostController } from "./xhci/host-controller.ts";
import { XHCI_REGISTER_BYTES } from "./xhci/registers.ts";

export interface UsbDriveOptions {
  /** Whole pages. Default 64 MiB. */
  readonly capacityBytes?: number;
}

export interface UsbDrive extends DeviceModel {
  /** Test instrument: the bytes of the drive, reached past controller and bus. */
  inspect(): { readonly memory: SparseMemory };
}

/** 5 Gbit/s less 8b/10b coding and packet overhead (USB 3.2 gen 1). */
const BUS_BYTES_PER_NS = 0.4;

/** A model to be placed behind a host controller with a non-prefetchable memory BAR of at least 4 KiB. */
export function createUsbDrive(options: UsbDriveOptions = {}): UsbDrive {
  const drive = new BulkOnlyDrive(options.capacityBytes ?? 64 * 2 ** 20);
  const bus = { name: "usb", perNs: BUS_BYTES_PER_NS };
  let controller: HostController | undefined;

  return {
    name: "usb-drive",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      controller = new HostController(port, drive, bus);
      return new Map([[registerBar(port.bdf, bars).index, registerWindow(controller)]]);
    },
    /** What is stored on the drive stays. */
    reset: () => controller?.powerOn(),
    inspect: () => ({ memory: drive.memory }),
  };
}

function registerBar(bdf: string, bars: readonly BarShape[]): BarShape {
  const [bar] = bars
    .filter((each) => !each.prefetchable && each.sizeBytes >= XHCI_REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes);
  const need = "a non-prefetchable memory BAR of at least 4 KiB for registers";
  return requireBar(bar, bdf, "usb-drive", need, bars);
}
