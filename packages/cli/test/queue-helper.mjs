/** Helps on a queue until it is told to stop; with --dies it takes one share and is gone. */
import { Worker } from "bullmq";
import { helpOnQueue } from "../dist/queue/campaign-queue.js";

const [url, name, flag] = process.argv.slice(2);

if (flag === "--dies") {
  const connection = { url, maxRetriesPerRequest: null };
  new Worker(name, () => process.exit(1), {
    connection,
    lockDuration: 1_000,
    stalledInterval: 1_000,
  });
} else {
  const over = new AbortController();
  process.once("SIGTERM", () => over.abort());
  await helpOnQueue({ url, name, lostAfterMs: 1_000, signal: over.signal });
}
