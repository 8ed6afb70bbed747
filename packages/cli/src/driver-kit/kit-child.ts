/** Kit child: the process that runs somebody's driver. Started by `kit-process.ts`, with one order as a message. */
import { Worker } from "node:worker_threads";
import { InputError, PeerbufError } from "@peerbuf/core";
import { loadDriver } from "./driver-module.ts";
import type { KitMessage, KitOrder, KitRequest } from "./kit-order.ts";
import { runOrder } from "./run-order.ts";
import { UnheardBook } from "./unheard.ts";

const stop = new AbortController();

const send = process.send?.bind(process);
/** A module that finds it would speak in our name. */
delete process.send;

const tell = (message: KitMessage): void => {
  send?.(message, undefined, undefined, () => undefined); // Nobody may be left to hear it.
};

process.on("message", (message) => {
  const request = message as KitRequest;
  if (request.kind === "stop") {
    stop.abort();
  } else {
    void carryOut(request.order);
  }
});
process.on("disconnect", () => process.exit());
// Ctrl-C reaches every process of the terminal; what it means is the command's to say.
process.on("SIGINT", () => undefined);
const unheard = new UnheardBook((why) => tell({ kind: "broken", why }));
guarded();

async function carryOut(order: KitOrder): Promise<void> {
  try {
    tell({ kind: "stage", stage: "load", total: 0 });
    const module = await loadDriver(order.path, order.exportName).catch((error: unknown) => {
      throw error instanceof InputError ? withSource(error, order) : error;
    });
    const answer = await runOrder(order, module, { tell, signal: stop.signal });
    await unheard.close();
    tell(answer.kind === "report" ? { ...answer, report: unheard.addedTo(answer.report) } : answer);
  } catch (error) {
    await unheard.close();
    tell(failure(error));
  }
}

/** The file as the person wrote it. */
const withSource = ({ problem }: InputError, { source }: KitOrder): InputError =>
  new InputError({ ...problem, source });

function failure(error: unknown): KitMessage {
  if (error instanceof InputError) {
    return { kind: "problem", problem: error.problem };
  }
  if (error instanceof PeerbufError && error.code === "DRIVER_BROKEN") {
    return { kind: "broken", why: error.message };
  }
  return {
    kind: "bug",
    stack: error instanceof Error ? (error.stack ?? error.message) : `${error}`,
  };
}

function guarded(): void {
  const parentPid = Number(process.argv[2]);
  new Worker(new URL("./kit-guard.js", import.meta.url), { workerData: { parentPid } }).unref();
}
