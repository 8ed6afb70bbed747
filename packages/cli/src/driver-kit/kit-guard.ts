/**
 * Kit guard: a thread that ends the kit's process when nobody waits for it any more.
 *
 * The process itself may be in an endless loop of somebody's driver and would hear of nothing.
 */
import { workerData } from "node:worker_threads";

const { parentPid } = workerData as { readonly parentPid: number };
const POLL_MS = 500;

setInterval(() => {
  if (process.ppid !== parentPid) {
    process.kill(process.pid, "SIGKILL");
  }
}, POLL_MS);
