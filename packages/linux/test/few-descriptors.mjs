// Run with a small limit of descriptors: what each call says when there are no more. One JSON line.
import { closeSync, openSync, readdirSync } from "node:fs";
import * as linux from "@peerbuf/linux";
import { Channel, channelPair, sharedMemory } from "@peerbuf/linux";

const answerOf = async (act) => {
  try {
    await act();
  } catch (error) {
    return `${error.code} ${error.errno}`;
  }
  return "no error";
};

const [ours, theirs] = channelPair();
const far = new Channel(theirs);
await far.receive({ timeoutMs: 0 }).catch(() => undefined);
const buffers = [];
const filling = await answerOf(() => {
  for (;;) {
    buffers.push(sharedMemory(4096));
  }
});
const pair = await answerOf(() => channelPair());
const share = await answerOf(() => ours.share({ buffer: buffers[0] }));
const receive = await answerOf(() => far.receive());
const wait = await answerOf(() => far.receive({ timeoutMs: 5 }));

/** What looks at the machine or at a buffer opens files too: nothing that it says is a bare error of Node's. */
const lookers = {
  name: () => buffers[0].name,
  exporterName: () => buffers[0].exporterName,
  duplicate: () => buffers[0].duplicate(),
  fromFd: () => linux.fromFd(buffers[0].descriptor.number),
  survey: () => linux.surveyBuffers(),
  providers: () => linux.p2pProviders(),
  memory: () => new linux.P2pMemory("0000:00:00.0", 4096),
  heaps: () => linux.dmaHeapNames(),
  gpus: () => linux.drmNodes(),
  nics: () => linux.rdmaNodes(),
  cameras: () => linux.videoNodes(),
  camera: () => new linux.V4l2Capture("/dev/video99"),
  heap: () => linux.dmaHeap("system", 4096),
  udmabuf: () => linux.udmabuf(4096),
  drive: () => linux.BlockDevice.open("/dev/null"),
  listener: () => new linux.Listener("/tmp/peerbuf-none"),
  connect: () => linux.connect("/tmp/peerbuf-none"),
};
const looking = new Set();
for (const look of Object.values(lookers)) {
  looking.add(await answerOf(look));
}

for (const buffer of buffers.splice(1)) {
  buffer.close();
}
await ours.share({ buffer: buffers[0] });
const { buffers: received } = await far.receive();
console.log(
  JSON.stringify({
    filling,
    pair,
    share,
    receive,
    wait,
    looking: [...looking].sort(),
    after: received.size,
  }),
);

const openCount = () => readdirSync("/proc/self/fd").length;
const before = openCount();

// Every place in between: as many descriptors are free as one call needs, less one, less two, ...
for (let free = 0; free < 6; free++) {
  const taken = [];
  try {
    for (;;) {
      taken.push(openSync("/dev/null"));
    }
  } catch {
    // There are no more.
  }
  for (const number of taken.splice(0, free)) {
    closeSync(number);
  }
  const said = [];
  for (const act of [
    () => sharedMemory(4096).close(),
    () => buffers[0].duplicate().close(),
    async () => {
      await ours.share({ one: buffers[0], two: buffers[0], three: buffers[0] });
      const delivery = await far.receive();
      for (const buffer of delivery.buffers.values()) {
        buffer.close();
      }
    },
    () => {
      const [one, other] = channelPair();
      one.close();
      other.close();
    },
  ]) {
    said.push(await answerOf(act));
  }
  for (const number of taken) {
    closeSync(number);
  }
  console.log(JSON.stringify({ free, said, leaked: openCount() - before }));
}
