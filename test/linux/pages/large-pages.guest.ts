/** A kernel whose pages are larger than 4 KiB: what fits them works as everywhere, the rest is the kernel's no. */
import { readFileSync } from "node:fs";
import { createFramework } from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  Channel,
  channelPair,
  createLinuxPlatform,
  kernelJudge,
  openHandles,
  sharedMemory,
  udmabuf,
} from "@peerbuf/linux";
import { expect, it } from "vitest";
import { refusal } from "../abi/kernel-view.ts";

/** KernelPageSize of this process's first mapping. */
const PAGE_BYTES: number =
  1024 * Number(/^KernelPageSize:\s+(\d+) kB/m.exec(readFileSync("/proc/self/smaps", "utf8"))?.[1]);

it("has pages of more than 4 KiB", () => {
  expect(PAGE_BYTES).toBeGreaterThan(4096);
});

it("memfds of any number of 4 KiB are whole buffers, up to their last byte", () => {
  for (const sizeBytes of [4096, 12_288, PAGE_BYTES, PAGE_BYTES + 4096]) {
    using buffer = sharedMemory(sizeBytes);
    buffer.withBytesSync("write", (bytes) => bytes.fill(7));
    expect(buffer.withBytesSync("read", (bytes) => [bytes.length, bytes[sizeBytes - 1]])).toEqual([
      sizeBytes,
      7,
    ]);
  }
});

it("udmabufs are whole pages, and others are refused", () => {
  using fitting = udmabuf(2 * PAGE_BYTES);
  fitting.withBytesSync("write", (bytes) => bytes.fill(8));
  expect(fitting.withBytesSync("read", (bytes) => bytes.at(-1))).toBe(8);
  for (const sizeBytes of [4096, PAGE_BYTES - 4096, PAGE_BYTES + 4096]) {
    expect(refusal(() => udmabuf(sizeBytes))).toBe("SYSCALL_FAILED EINVAL");
  }
});

it("buffers are shared, mapped and given back by the thousand", async () => {
  const before = openHandles().length;
  const [near, theirs] = channelPair();
  const far = new Channel(theirs);
  for (let count = 0; count < 1500; count++) {
    using buffer = sharedMemory(4096);
    buffer.withBytesSync("write", (bytes) => bytes.fill(count));
    await near.share({ buffer });
    const received = (await far.receive())?.buffers.get("buffer");
    expect(received?.withBytesSync("read", (bytes) => bytes[4095])).toBe(count & 0xff);
    received?.close();
  }
  near.close();
  far.close();
  expect(openHandles().length).toBeLessThanOrEqual(before + 1);
});

it.each([
  ["memfd", "no error"],
  ["udmabuf", "SYSCALL_FAILED EINVAL"],
] as const)(
  "a platform on %s gives 4 KiB or says why not, and whole pages always",
  (memory, said) => {
    const platform = createLinuxPlatform({ memory });
    const framework = createFramework({ platform, judge: kernelJudge });
    const exporter = framework.openExporter(systemHeap, undefined, undefined);
    expect(refusal(() => exporter.allocate(4096).close())).toBe(said);
    expect(refusal(() => exporter.allocate(PAGE_BYTES).close())).toBe("no error");
    framework.close();
    platform.close();
  },
);
