/**
 * A peer that speaks nonsense: each message below costs the receiver a typed error and no descriptor, and
 * the channel goes on. The hostile side writes raw packets.
 */
import { Channel, channelPair, Descriptor, sharedMemory } from "@peerbuf/linux";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMemfd } from "../src/sys/memfd.ts";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { sendRaw } from "./raw-packet.ts";
import { codeOf, codeOfAsync } from "./refusal.ts";

const envelope = (items: unknown, meta: unknown = null, peerbuf: unknown = 1): string =>
  JSON.stringify({ peerbuf, meta, items });

let ours: Channel;
let hostile: Descriptor;
let before: number;

beforeEach(async () => {
  await warmUp();
  before = openDescriptorCount();
  [ours, hostile] = channelPair();
});

afterEach(() => {
  ours[Symbol.dispose]();
  hostile[Symbol.dispose]();
  expect(openDescriptorCount()).toBe(before);
});

/** A descriptor that is a buffer of 4,096 bytes, given to the packet. */
function withMemfd(work: (number: number) => void): void {
  using memfd = createMemfd("hostile", 4096);
  work(memfd.number);
}

async function expectRefused(): Promise<void> {
  expect(await codeOfAsync(ours.receive({ timeoutMs: 5000 }))).toBe("MESSAGE_INVALID");
}

async function expectStillWorks(): Promise<void> {
  sendRaw(hostile, envelope([], "fine"), []);
  expect((await ours.receive({ timeoutMs: 5000 }))?.meta).toBe("fine");
}

describe.skipIf(process.platform !== "linux")("a hostile message", () => {
  const texts: Record<string, string> = {
    "no JSON": "hello",
    "half of a JSON text": '{"peerbuf":1,"meta":',
    "a JSON text that is no object": "17",
    null: "null",
    "an array": "[]",
    "another protocol": envelope([], null, 2),
    "no items": JSON.stringify({ peerbuf: 1 }),
    "items that are no array": envelope({ length: 0 }),
    "items that are null": envelope([null]),
    "items without a size": envelope([{ name: "a" }]),
    "sizes that are no numbers": envelope([{ name: "a", sizeBytes: "4096" }]),
    "names that are no text": envelope([{ name: 5, sizeBytes: 4096 }]),
    "a buffer that did not come": envelope([{ name: "a", sizeBytes: 4096 }]),
    "64 KiB of brackets": "[".repeat(65_536),
    "nested arrays without an end in sight": "[".repeat(30_000) + "]".repeat(30_000),
    "an inherited envelope": '{"__proto__":{"peerbuf":1,"meta":null,"items":[]}}',
  };

  it.each(Object.entries(texts))("with %s is refused", async (_, text) => {
    sendRaw(hostile, text, []);
    await expectRefused();
    await expectStillWorks();
  });

  it("with bytes that are no UTF-8 is refused", async () => {
    sendRaw(hostile, Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d), []);
    await expectRefused();
    await expectStillWorks();
  });

  it("longer than a message may be is refused, whatever is in it", async () => {
    sendRaw(hostile, envelope([], "x".repeat(70_000)), []);
    await expectRefused();
    await expectStillWorks();
  });

  it("with a wrong size, a wrong count or one name twice gives back every descriptor", async () => {
    withMemfd((fd) => sendRaw(hostile, envelope([{ name: "a", sizeBytes: 8192 }]), [fd]));
    await expectRefused();
    withMemfd((fd) => sendRaw(hostile, envelope([{ name: "a", sizeBytes: 4096 }]), [fd, fd, fd]));
    await expectRefused();
    const twice = [0, 1].map(() => ({ name: "a", sizeBytes: 4096 }));
    withMemfd((fd) => sendRaw(hostile, envelope(twice), [fd, fd]));
    await expectRefused();
    await expectStillWorks();
  });

  it("that floods with 253 descriptors nobody asked for gives them all back", async () => {
    withMemfd((fd) => sendRaw(hostile, envelope([]), Array(253).fill(fd)));
    await expectRefused();
    await expectStillWorks();
  });

  it.each([
    ["a file", "/proc/self/status"],
    ["a folder", "/tmp"],
    ["a device", "/dev/zero"],
  ])("with %s instead of a buffer is refused", async (_, path) => {
    const file = Descriptor.open(path, 0);
    sendRaw(hostile, envelope([{ name: "a", sizeBytes: 4096 }]), [file.number]);
    file.close();
    await expectRefused();
    await expectStillWorks();
  });

  it("with a socket, an end of a pair, is refused", async () => {
    const [channel, other] = channelPair();
    sendRaw(hostile, envelope([{ name: "a", sizeBytes: 0 }]), [other.number]);
    channel.close();
    other.close();
    await expectRefused();
  });

  it("without a byte is an end: the peer says no more than that", async () => {
    sendRaw(hostile, new Uint8Array(0), []);
    expect(await ours.receive({ timeoutMs: 5000 })).toBeUndefined();
  });

  it("without a byte but with descriptors is refused", async () => {
    withMemfd((fd) => sendRaw(hostile, new Uint8Array(0), [fd]));
    await expectRefused();
  });

  it("may name a buffer __proto__: a name is only a name", async () => {
    const text =
      '{"peerbuf":1,"meta":{"__proto__":{"evil":1}},"items":[{"name":"__proto__","sizeBytes":4096}]}';
    withMemfd((fd) => sendRaw(hostile, text, [fd]));
    const delivery = await ours.receive({ timeoutMs: 5000 });
    const buffer = delivery?.buffers.get("__proto__");
    expect(buffer?.sizeBytes).toBe(4096);
    expect(({} as { evil?: number }).evil).toBeUndefined();
    buffer?.close();
  });

  it("of any bytes at all ends in a typed error or a delivery", async () => {
    const anything = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
      fc
        .record({
          peerbuf: fc.constantFrom(1, 2, "1"),
          meta: fc.jsonValue(),
          items: fc.jsonValue(),
        })
        .map((value) => new TextEncoder().encode(JSON.stringify(value))),
    );
    await fc.assert(
      fc.asyncProperty(anything, fc.integer({ min: 0, max: 3 }), async (bytes, count) => {
        withMemfd((fd) => sendRaw(hostile, bytes, Array(count).fill(fd)));
        const ended = await codeOfAsync(
          ours.receive({ timeoutMs: 5000 }).then((delivery) => {
            for (const buffer of delivery?.buffers.values() ?? []) {
              buffer.close();
            }
          }),
        );
        expect(["MESSAGE_INVALID", "no error"]).toContain(ended);
      }),
      { numRuns: 300 },
    );
  });
});

describe.skipIf(process.platform !== "linux")("what cannot be shared", () => {
  it("is refused before anything is sent, and nothing is held", async () => {
    using open = sharedMemory(4096);
    const closed = sharedMemory(4096);
    closed.close();
    const endless: Record<string, unknown> = {};
    endless["self"] = endless;
    const share = (buffers: object, meta?: unknown): Promise<string> =>
      codeOfAsync(ours.share(buffers as never, meta as never));

    expect(await share({ open, closed })).toBe("HANDLE_CLOSED");
    expect(await share({ open, wrong: 17 })).toBe("ARGUMENT_INVALID");
    expect(await share({ open, wrong: null })).toBe("ARGUMENT_INVALID");
    expect(await share({}, endless)).toBe("ARGUMENT_INVALID");
    expect(await share({}, 5n)).toBe("ARGUMENT_INVALID");
    expect(await share({}, "x".repeat(65_536))).toBe("ARGUMENT_INVALID");
    expect(await share({}, "\u{1F4A3}".repeat(17_000))).toBe("ARGUMENT_INVALID");
    expect(await codeOfAsync(ours.share({}, 1, { timeoutMs: -1 }))).toBe("ARGUMENT_INVALID");
    expect(await codeOfAsync(ours.receive({ timeoutMs: Number.NaN }))).toBe("ARGUMENT_INVALID");
  });
});

describe.skipIf(process.platform !== "linux")("a number that is no channel", () => {
  it("is refused, and stays what it was", () => {
    using file = Descriptor.open("/proc/self/status", 0);
    using memfd = createMemfd("no channel", 4096);

    expect(codeOf(() => Channel.fromFd(Number.NaN))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd(-1))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd(1.5))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd("3" as never))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd(987_654))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd(file.number))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Channel.fromFd(memfd.number))).toBe("ARGUMENT_INVALID");
    expect(
      codeOf(() => Channel.fromFd(hostile.number)),
      "somebody owns it",
    ).toBe("ARGUMENT_INVALID");
  });
});
