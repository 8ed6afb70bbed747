/** A channel is woken for every message, whenever it is sent, and whoever waited for it and gave up. */
import { Channel, channelPair } from "@peerbuf/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { codeOfAsync } from "./refusal.ts";

/** What one of the two does next; `turn` lets the event loop look at its descriptors. */
const step = fc.constantFrom("send", "receive", "give up", "turn");

/** A wait that could go on for ever fails the test instead. */
const WAIT = { timeoutMs: 5000 };

class Conversation {
  readonly received: unknown[] = [];
  readonly #waiting: Promise<unknown>[] = [];
  readonly #givingUp: Promise<unknown>[] = [];
  readonly #ours: Channel;
  readonly #theirs: Channel;
  #sent = 0;
  #wanted = 0;

  constructor(ours: Channel, theirs: Channel) {
    this.#ours = ours;
    this.#theirs = theirs;
  }

  async take(what: string): Promise<void> {
    switch (what) {
      case "send":
        await this.#ours.share({}, this.#sent++);
        break;
      case "receive":
        this.#wanted += 1;
        this.#waiting.push(this.#next(WAIT).finally(() => this.#wanted--));
        break;
      case "give up":
        this.#givingUp.push(codeOfAsync(this.#next({ timeoutMs: 0 })));
        break;
      default:
        await new Promise(setImmediate);
    }
  }

  /** A message for each that still waits, no more, and then all that were sent. How many that is. */
  async finish(): Promise<number> {
    await Promise.all(this.#givingUp);
    for (let more = this.#wanted; more > 0; more--) {
      await this.take("send");
    }
    await Promise.all(this.#waiting);
    while (this.received.length < this.#sent) {
      await this.#next(WAIT);
    }
    return this.#sent;
  }

  async #next(limits: { readonly timeoutMs: number }): Promise<void> {
    this.received.push((await this.#theirs.receive(limits))?.meta);
  }
}

describe.skipIf(process.platform !== "linux")("a channel", () => {
  it("gives every message once and in order, whatever the two do meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const [ours, far] = channelPair();
        using _ours = ours;
        using theirs = new Channel(far);
        const conversation = new Conversation(ours, theirs);
        for (const each of steps) {
          await conversation.take(each);
        }
        const sent = await conversation.finish();
        expect(conversation.received).toEqual(Array.from({ length: sent }, (_, index) => index));
      }),
      { numRuns: 200 },
    );
  });
});
