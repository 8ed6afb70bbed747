// Run with a small limit of descriptors: what each call says when there are no more. One JSON line.
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
for (const buffer of buffers.splice(1)) {
  buffer.close();
}
await ours.share({ buffer: buffers[0] });
const { buffers: received } = await far.receive();
console.log(JSON.stringify({ filling, pair, share, receive, wait, after: received.size }));
