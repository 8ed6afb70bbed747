/**
 * Lspci text that was pasted: quoted, wrapped, indented, coloured or cut on its way through mail,
 * terminals and web pages. What survived means the same; what was lost is not made up.
 */
import { type Topology, topologyFromLspci } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES } from "./captures.ts";
import { fullText, HEX_ROW, plain, problemOf, textOf } from "./lspci-claims.ts";

const read = (text: string): Topology => topologyFromLspci("listing", text);

describe.each(["server-05", "conv-02", "sriov-01"])("the listing of %s, pasted", (name) => {
  const text = fullText(name);
  const expected = plain(read(text));

  it.each<[string, (text: string) => string]>([
    ["with a prompt and blank lines before", (t) => `\n\n[root@node ~]# lspci -vvv\n${t}`],
    ["with carriage returns", (t) => t.replaceAll("\n", "\r\n")],
    ["quoted in a mail", (t) => t.replace(/^/gm, "> ")],
    ["quoted twice", (t) => t.replace(/^/gm, ">> ")],
    ["with blanks for tabs", (t) => t.replaceAll("\t", "        ")],
    ["indented as code", (t) => t.replace(/^(?=.)/gm, "    ")],
    ["with all indentation lost", (t) => t.replace(/^[ \t]+/gm, "")],
    ["with hard spaces", (t) => t.replace(/^(\t+)/gm, (tabs) => "\u00a0".repeat(tabs.length * 4))],
    ["with terminal colours", (t) => t.replace(/^([0-9a-f:.]+) /gm, "\u001b[1m$1\u001b[0m ")],
    ["with doubled line ends", (t) => t.replaceAll("\n", "\n\n")],
    ["with upper case digits", (t) => t.replace(HEX_ROW, (row) => row.toUpperCase())],
    ["with a byte order mark", (t) => `\ufeff${t}`],
  ])("reads the same %s", (_, paste) => {
    expect(plain(read(paste(text)))).toEqual(expected);
  });

  it("reads the same wrapped by a mail program", () => {
    const wrapped = text.replace(/^(?![0-9a-f]{2,3}: ).{73,}$/gm, (line) =>
      line.replace(/(.{40,72}) (?=\S)/g, "$1\n"),
    );

    expect(wrapped).not.toBe(text);
    expect(plain(read(wrapped))).toEqual(expected);
  });

  it("reads the same with its functions in another order", () => {
    const blocks = text.trimEnd().split("\n\n");

    expect(plain(read(`${blocks.reverse().join("\n\n")}\n\n`))).toEqual(expected);
  });
});

describe("a tree that was pasted", () => {
  it("does not take a branch for that of a bridge that is done with", () => {
    const tree = `-[0000:00]-+-01.0-[01]--+-00.0
           |            +-00.1
           +-02.0-[02]----00.0
           |            \\-00.2
`;

    expect(problemOf(tree)).toMatchObject({
      place: "line 4",
      cause: expect.stringContaining("column 25 hangs on nothing"),
    });
  });

  it("reads the same as other releases print it: root buses without domain, buses below with it", () => {
    const places = (tree: string) =>
      read(tree)
        .records()
        .map(({ bdf, parent, subordinateBus }) => [bdf, parent, subordinateBus]);
    const expected = [
      ["0000:00:01.0", null, 3],
      ["0000:02:00.0", "0000:00:01.0", 3],
    ];

    expect(places("-[0000:00]---01.0-[02-03]----00.0-[03]--\n")).toEqual(expected);
    expect(places("-[00]---01.0-[02-03]----00.0-[03]--\n")).toEqual(expected);
    expect(places("-[0000:00]---01.0-[0000:02-03]----00.0-[0000:03]--\n")).toEqual(expected);
  });

  it.each<[string, (text: string) => string]>([
    ["quoted in a mail", (t) => t.replace(/^/gm, "> ")],
    ["indented as code", (t) => t.replace(/^/gm, "    ")],
    [
      "with tabs for blanks",
      (t) => t.replace(/^( {8})+/gm, (blanks) => "\t".repeat(blanks.length / 8)),
    ],
    ["with names cut", (t) => t.replace(/^(.*[01][0-9a-f]\.[0-7] {2}.{3}).*$/gm, "$1")],
    ["with names wrapped", (t) => t.replace(/^(.* {2}\S+ )(\S.*)$/gm, "$1\n$2")],
  ])("reads the same %s", (_, paste) => {
    for (const name of CAPTURES) {
      const text = textOf(name, "lspci-tv.txt");
      const places = (topology: Topology) =>
        topology.records().map(({ bdf, parent, secondaryBus }) => [bdf, parent, secondaryBus]);

      expect(places(read(paste(text)))).toEqual(places(read(text)));
    }
  });

  it.each([
    [
      "a bridge's line was lost",
      (t: string) => t.replace(/^.*-\[01\]-.*\n/m, ""),
      /hangs on nothing/,
    ],
    [
      "a line was cut within its branches",
      (t: string) => t.replace(/^(.*\[02-06\]--).*$/m, "$1"),
      /cut|expected a function|hangs on nothing/,
    ],
    [
      "a line was cut behind a function",
      (t: string) => t.replace(/^(.*\+-1f\.0).*$/m, "$1"),
      /cut behind a function/,
    ],
  ])("is refused with the line when %s", (_, damage, expected) => {
    const problem = problemOf(damage(textOf("sriov-01", "lspci-tv.txt")));

    expect(problem.cause).toMatch(expected);
    expect(problem.place).toMatch(/^line \d+$/);
  });
});
