/** Kit child: the process that runs somebody's driver. Started by `kit-process.ts`, with one order as a message. */
import { InputError } from "@peerbuf/core";
import { loadDriver } from "./driver-module.ts";
import type { KitMessage, KitOrder } from "./kit-order.ts";
import { runOrder } from "./run-order.ts";

const tell = (message: KitMessage): void => {
  process.send?.(message);
};

process.once("message", async (message) => {
  const order = message as KitOrder;
  try {
    tell({ kind: "stage", stage: "load", total: 0 });
    const module = await loadDriver(order.path, order.exportName).catch((error: unknown) => {
      throw error instanceof InputError ? withSource(error, order) : error;
    });
    tell({ kind: "report", report: await runOrder(order, module, tell) });
  } catch (error) {
    tell(failure(error));
  }
});

/** A rejection that nobody awaits is the driver's: the checks go on without it. */
process.on("unhandledRejection", (reason) => {
  const text = reason instanceof Error ? reason.message : String(reason);
  process.stderr.write(`a promise of the driver was rejected and nobody looked: ${text}\n`);
});

/** The file as the person wrote it. */
const withSource = ({ problem }: InputError, { source }: KitOrder): InputError =>
  new InputError({ ...problem, source });

function failure(error: unknown): KitMessage {
  if (error instanceof InputError) {
    return { kind: "problem", problem: error.problem };
  }
  return {
    kind: "bug",
    stack: error instanceof Error ? (error.stack ?? error.message) : `${error}`,
  };
}
