/**
 * Run order: one order carried out on a driver that is loaded: open it once, hold the contract against it, explore.
 */
import { InputError } from "@peerbuf/core";
import { helpOthers } from "../queue/help-others.ts";
import type { DriverModule } from "./driver-module.ts";
import { contractOf, worldOf } from "./driver-scenes.ts";
import { exploreDriver, replayOne } from "./explore-order.ts";
import { FindingBook } from "./finding-book.ts";
import type { KitMessage, KitOrder } from "./kit-order.ts";

export interface OrderContext {
  readonly tell: (message: KitMessage) => void;
  /** It is enough: what was found so far is the answer. */
  readonly signal: AbortSignal;
}

/** The answer. */
export async function runOrder(
  order: KitOrder,
  module: DriverModule,
  context: OrderContext,
): Promise<KitMessage> {
  context.tell({ kind: "stage", stage: "open", total: 0 });
  openOnce(order, module);
  if (order.task === "help") {
    return { kind: "helped", report: await helpOthers(order, module, context) };
  }
  const book = new FindingBook(module.driver);
  if (order.task === "check") {
    await holdContract(module, book, context);
    context.tell({ kind: "part", report: book.report() });
  }
  if (order.replay === undefined) {
    await exploreDriver(order, module, book, context);
  } else {
    await replayOne(order.replay, module, book, context);
  }
  return { kind: "report", report: book.report() };
}

/** A driver that cannot be opened at all is not one that breaks a rule. */
function openOnce({ source }: KitOrder, module: DriverModule): void {
  const { driver, check } = module;
  const { options } = check;
  try {
    const world = worldOf(module);
    const opened =
      driver.role === "exporter"
        ? world.framework.openExporter(driver, driver.needsDevice ? "gpu0" : undefined, options)
        : world.framework.openImporter(driver, driver.needsDevice ? "nic0" : undefined, options);
    opened.close();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new InputError({
      source,
      cause: `its driver "${driver.name}" cannot be opened: ${text}`,
      remedy:
        module.machine === undefined
          ? "open() finds CLOCK, FENCES, HOST_MEMORY, and with a device DEVICE, BARS, DEVICE_DMA and DMA_ENGINE"
          : "machine.model() gives a device model that fits a slot with a register BAR and a memory BAR, and open() its registers",
    });
  }
}

async function holdContract(
  module: DriverModule,
  book: FindingBook,
  { tell, signal }: OrderContext,
): Promise<void> {
  const { checks } = contractOf(module);
  tell({ kind: "stage", stage: "contract", total: checks.length });
  for (const [done, check] of checks.entries()) {
    if (signal.aborted) {
      return;
    }
    tell({ kind: "progress", done, what: check.name });
    book.noteCheck(await check.run());
  }
}
