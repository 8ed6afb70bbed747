/**
 * A peer that speaks nonsense: each message below costs the receiver a typed error and no descriptor, and
 * the channel goes on. The hostile side writes raw packets.
 */
import { closeSync, openSync } from "node:fs";
import { Channel, channelPair, Descriptor, sharedMemory } from "@peerbuf/linux";
import fc from "fast-check";
import koffi from "koffi";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createMemfd } from "../src/sys/memfd.ts";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { rawEnvelope } from "./raw-envelope.ts";
import { sendRaw } from "./raw-packet.ts";
import { codeOf, codeOfAsync } from "./refusal.ts";

const A = { name: "a", sizeBytes: 4096 };

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

const library = koffi.load(null);
const setrlimit = library.func("int setrlimit(int resource, void *limit)");
const getrlimit = library.func("int getrlimit(int resource, void *limit)");
const RLIMIT_NOFILE = 7;

const closeNumber = (number: number): void => closeSync(number);

/** Runs `work`, which has to do at once what it does, while so many descriptors more may be open and no others. */
function withRoomFor<T>(count: number, work: () => T): T {
  const limits = new BigUint64Array(2);
  const bytes = new Uint8Array(limits.buffer);
  getrlimit(RLIMIT_NOFILE, bytes);
  const [usual = 0n] = limits;
  const taken: number[] = [];
  limits[0] = BigInt(openDescriptorCount() + 100);
  setrlimit(RLIMIT_NOFILE, bytes);
  try {
    for (;;) {
      taken.push(openSync("/dev/null", "r"));
    }
  } catch {
    // There are no more.
  }
  taken.splice(0, count).forEach(closeNumber);
  try {
    return work();
  } finally {
    limits[0] = usual;
    setrlimit(RLIMIT_NOFILE, bytes);
    taken.forEach(closeNumber);
  }
}

async function expectRefused(): Promise<void> {
  expect(await codeOfAsync(ours.receive({ timeoutMs: 5000 }))).toBe("MESSAGE_INVALID");
}

async function expectStillWorks(): Promise<void> {
  sendRaw(hostile, rawEnvelope([], '"fine"'), []);
  expect((await ours.receive({ timeoutMs: 5000 }))?.meta).toBe("fine");
}

describe.skipIf(process.platform !== "linux")("a hostile message", () => {
  const noise = (text: string): Uint8Array => new TextEncoder().encode(text);
  const messages: Record<string, Uint8Array> = {
    "a text": noise("hello"),
    "one byte": Uint8Array.of(0x50),
    "half of a head": rawEnvelope([]).subarray(0, 7),
    "another protocol": rawEnvelope([], "", { protocol: 0x0001_4250 }),
    "the protocol before this one": noise('{"peerbuf":1,"meta":null,"items":[]}'),
    "a buffer that did not come": rawEnvelope([A]),
    "more buffers than there can be": rawEnvelope([], "", { count: 2 ** 32 - 1 }),
    "half of a JSON text": rawEnvelope([], '{"a":'),
    "no JSON": rawEnvelope([], "hello"),
    "JSON text that is no UTF-8": Buffer.concat([rawEnvelope([]), Uint8Array.of(0x22, 0xff, 0x22)]),
    "64 KiB of brackets": rawEnvelope([], "[".repeat(65_528)),
    "nested arrays without an end": rawEnvelope([], "[".repeat(32_000)),
  };

  it.each(Object.entries(messages))("with %s is refused", async (_, bytes) => {
    sendRaw(hostile, bytes, []);
    await expectRefused();
    await expectStillWorks();
  });

  const named: Record<string, Uint8Array> = {
    "a name that is no UTF-8": rawEnvelope([{ ...A, name: Uint8Array.of(0x61, 0xff) }]),
    "a name that ends behind the message": rawEnvelope([A], "", { nameBytes: 2 }),
    "a name as long as can be said": rawEnvelope([A], "", { nameBytes: 0xffff }),
    "half of an item": rawEnvelope([A]).subarray(0, 15),
    "a size that is no number": rawEnvelope([{ ...A, sizeBytes: Number.NaN }]),
    "a negative size": rawEnvelope([{ ...A, sizeBytes: -4096 }]),
    "a size below the true one": rawEnvelope([{ ...A, sizeBytes: 4095 }]),
    "a size above the true one": rawEnvelope([{ ...A, sizeBytes: 8192 }]),
    "no word of the descriptor": rawEnvelope([]),
  };

  it.each(Object.entries(named))("with %s gives back its descriptor", async (_, bytes) => {
    withMemfd((fd) => sendRaw(hostile, bytes, [fd]));
    await expectRefused();
    await expectStillWorks();
  });

  it("longer than a message may be is refused, whatever is in it", async () => {
    sendRaw(hostile, rawEnvelope([], `"${"x".repeat(70_000)}"`), []);
    await expectRefused();
    // Cut off at 64 KiB it would be JSON.
    sendRaw(hostile, rawEnvelope([], `5${" ".repeat(70_000)}`), []);
    await expectRefused();
    await expectStillWorks();
  });

  it("whose descriptors this process has no room for is refused, and those that came are given back", async () => {
    for (const room of [0, 1, 2, 3]) {
      withMemfd((fd) => sendRaw(hostile, rawEnvelope(Array(room).fill(A)), [fd, fd, fd, fd]));
      const received = withRoomFor(room, () => codeOfAsync(ours.receive({ timeoutMs: 5000 })));
      expect(await received).toBe("MESSAGE_INVALID");
      expect(openDescriptorCount()).toBe(before + 2);
    }
    await expectStillWorks();
  });

  it("with a wrong count or one name twice gives back every descriptor", async () => {
    withMemfd((fd) => sendRaw(hostile, rawEnvelope([A]), [fd, fd, fd]));
    await expectRefused();
    withMemfd((fd) => sendRaw(hostile, rawEnvelope([A, A]), [fd, fd]));
    await expectRefused();
    await expectStillWorks();
  });

  it("that floods with 253 descriptors nobody asked for gives them all back", async () => {
    withMemfd((fd) => sendRaw(hostile, rawEnvelope([]), Array(253).fill(fd)));
    await expectRefused();
    await expectStillWorks();
  });

  it.each([
    ["a file", "/proc/self/status"],
    ["a folder", "/tmp"],
    ["a device", "/dev/zero"],
  ])("with %s instead of a buffer is refused", async (_, path) => {
    const file = Descriptor.open(path, 0);
    sendRaw(hostile, rawEnvelope([A]), [file.number]);
    file.close();
    await expectRefused();
    await expectStillWorks();
  });

  it("with a socket, an end of a pair, is refused", async () => {
    const [channel, other] = channelPair();
    sendRaw(hostile, rawEnvelope([{ ...A, sizeBytes: 0 }]), [other.number]);
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
    const text = rawEnvelope([{ ...A, name: "__proto__" }], '{"__proto__":{"evil":1}}');
    withMemfd((fd) => sendRaw(hostile, text, [fd]));
    const delivery = await ours.receive({ timeoutMs: 5000 });
    const buffer = delivery?.buffers.get("__proto__");
    expect(buffer?.sizeBytes).toBe(4096);
    expect(({} as { evil?: number }).evil).toBeUndefined();
    buffer?.close();
  });

  it("of any bytes at all ends in a typed error or a delivery", async () => {
    const item = fc.record({
      name: fc.oneof(fc.string({ unit: "binary", maxLength: 9 }), fc.uint8Array({ maxLength: 9 })),
      sizeBytes: fc.oneof(fc.constant(4096), fc.double()),
    });
    const head = fc.record({ count: fc.nat(4), nameBytes: fc.nat(20) }, { requiredKeys: [] });
    const anything = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.tuple(fc.array(item, { maxLength: 3 }), fc.json(), head).map((all) => rawEnvelope(...all)),
      fc.array(item, { maxLength: 3 }).map((items) => rawEnvelope(items)),
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
    expect(await share({ "\ud83d": open })).toBe("ARGUMENT_INVALID");
    expect(await share({ ["x".repeat(65_536)]: open })).toBe("ARGUMENT_INVALID");
    expect(await share({ ["\u{1F4A3}".repeat(17_000)]: open })).toBe("ARGUMENT_INVALID");
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
