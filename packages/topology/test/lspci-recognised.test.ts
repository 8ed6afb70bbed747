/**
 * Lspci text is recognised by its content, whatever the file is called, and nothing else is taken for it.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";
import { readCapture, type Topology } from "@peerbuf/topology";
import { afterAll, describe, expect, it } from "vitest";
import { formOf, fullText, textOf } from "./lspci-claims.ts";

const folder = mkdtempSync(join(tmpdir(), "peerbuf-recognised-"));
afterAll(() => rmSync(folder, { recursive: true }));

const open = (content: string | Uint8Array): Promise<Topology> => {
  const path = join(folder, "from-a-friend.dat");
  writeFileSync(path, content);
  return readCapture(path);
};

describe("a file with lspci text", () => {
  it.each(["t", "tvnn", "n", "mm", "mmnn", "vmmnn", "PPnn", "v", "vvvnn", "x"])(
    "is recognised when it was printed with -%s",
    async (options) => {
      expect((await open(formOf("server-05", options))).facts.format).toMatch(/^lspci \(/);
    },
  );

  it.each([
    ["without options", textOf("server-05", "lspci-nn.txt").replace(/ \[[0-9a-f:]+\]/g, "")],
    ["without domains", textOf("server-05", "lspci-nn.txt").replace(/^0000:/gm, "")],
    [
      "behind a greeting",
      `Hello,\n\nhere is my lspci -nn:\n\n${textOf("tiny-01", "lspci-nn.txt")}`,
    ],
    [
      "behind a prompt and quoted",
      `> $ lspci -tv\n> ${textOf("tiny-01", "lspci-tv.txt").replaceAll("\n", "\n> ")}`,
    ],
    [
      "with a single function",
      "01:00.0 VGA compatible controller: NVIDIA Corporation Device 2684 (rev a1)",
    ],
    ["with addresses alone, of which nothing but the place is known", "00:00.0\n00:01.0\n"],
    ["by a very old lspci", "00:1f.0 Class 0601: 8086:2918 (rev 02)\n"],
  ])("is recognised %s", async (_, text) => {
    const topology = await open(text);

    expect(topology.count).toBeGreaterThan(0);
    expect(topology.facts.format).toMatch(/^lspci \(/);
  });

  it("is recognised packed with gzip", async () => {
    expect((await open(gzipSync(fullText("tiny-01")))).count).toBe(6);
  });

  it.each([
    [
      "ACS control lines alone",
      "\tACSCtl:\tSrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-\n",
      /completes a capture/,
    ],
    ["-P, which lacks bus numbers", "00:03.0/00.0 VGA compatible controller: B\n", /lspci -PP/],
  ])("is recognised to say why it is not enough: %s", async (_, text, expected) => {
    await expect(open(text)).rejects.toThrow(expected);
  });

  it.each([
    ["a clock", "12:30.5 we met\n12:45.1 we left\n"],
    ["a kernel log", "kernel: pci 0000:00:01.0: [8086:29c0] type 00 class 0x060000\n"],
    ["a table", "+------+------+\n| a | b |\n+------+------+\n"],
    ["hex alone", "00: 86 80 c0 29 07 00 00 00 00 00 00 06 00 00 00 00\n"],
    ["addresses in a sentence", "the card at 01:00.0 is slow\n"],
  ])("is not %s", async (_, text) => {
    const answer = await open(text).catch((error: unknown) => error);

    expect(answer).toBeInstanceOf(InputError);
    expect((answer as InputError).problem.cause).toMatch(/^the format is not known/);
  });
});
