/** Mappings between brackets: kept, so that the next bracket costs little, and given back when they are too many. */
import { readFileSync } from "node:fs";
import { MAPPED_BYTES_MAX, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";

/** Where memfds of a name are mapped. */
const placesOf = (name: string): string[] =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(`memfd:${name} `))
    .map((line) => line.split(" ")[0] ?? "");

const touch = (buffer: ReturnType<typeof sharedMemory>): void =>
  buffer.withBytesSync("write", (bytes) => {
    bytes[0] = 1;
  });

describe.skipIf(process.platform !== "linux")("a mapping", () => {
  it("stays where it is from bracket to bracket", () => {
    using buffer = sharedMemory(65_536, "kept");
    expect(placesOf("kept")).toEqual([]);
    touch(buffer);
    const [place] = placesOf("kept");
    for (let count = 0; count < 100; count++) {
      touch(buffer);
    }
    expect(placesOf("kept")).toEqual([place]);
    buffer.close();
    expect(placesOf("kept")).toEqual([]);
  });

  it("that was not used for longest goes when idle ones pass the limit, and comes back when it is wanted", () => {
    const half = MAPPED_BYTES_MAX / 2;
    const buffers = ["one", "two", "three"].map((name) => sharedMemory(half, `idle-${name}`));
    const mapped = (): string[] =>
      ["one", "two", "three"].filter((name) => placesOf(`idle-${name}`).length > 0);
    const [one, two, three] = buffers as [
      (typeof buffers)[0],
      (typeof buffers)[0],
      (typeof buffers)[0],
    ];
    touch(one);
    touch(two);
    expect(mapped()).toEqual(["one", "two"]);
    touch(one);
    touch(three);
    expect(mapped()).toEqual(["one", "three"]);
    touch(two);
    expect(mapped()).toEqual(["two", "three"]);
    expect(one.withBytesSync("read", ([first]) => first)).toBe(1);
    for (const buffer of buffers) {
      buffer.close();
    }
    expect(mapped()).toEqual([]);
  });

  it("within an open bracket never goes, whatever the limit", () => {
    using open = sharedMemory(MAPPED_BYTES_MAX, "open");
    const access = open.beginCpuAccess("write");
    const { bytes } = access;
    for (let count = 0; count < 4; count++) {
      using other = sharedMemory(MAPPED_BYTES_MAX, "passing");
      touch(other);
    }
    bytes[MAPPED_BYTES_MAX - 1] = 7;
    expect(placesOf("open").length).toBe(1);
    access.end();
    expect(open.withBytesSync("read", (again) => again[MAPPED_BYTES_MAX - 1])).toBe(7);
  });
});
