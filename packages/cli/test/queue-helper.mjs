/** Helps on a queue until it is told to stop; with --dies it takes one share and is gone. */
import { Hands } from "@peerbuf/testkit";
import { openDoor } from "../dist/queue/redis-door.js";
import { ShareTaker } from "../dist/queue/share-taker.js";

const [url, order, flag] = process.argv.slice(2);
const { program, source } = JSON.parse(order);
const door = await openDoor(url);
const hands = flag === "--dies" ? { run: () => process.exit(1) } : new Hands({ workers: 1 });
const helper = new ShareTaker({
  door,
  program,
  source,
  file: "examples",
  hands,
  workers: 1,
  lostAfterMs: 1_000,
});

process.once("SIGTERM", async () => {
  await helper.end();
  await hands.close();
  await door.close();
});
await helper.begin();
