/**
 * Lspci captures: the captured machines, read from what lspci printed on them.
 *
 * With config space in the text, everything that /sys says is there, so every verdict is the kernel's.
 * With less, what is still claimed is true, and the rest is unknown.
 */
import {
  ACS_UNKNOWN,
  cpuAnswer,
  type FunctionRecord,
  hostBridgesOf,
  judgePair,
  PORT_TYPE_UNKNOWN,
  readCapture,
  rulesForKernel,
  topologyFromLspci,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder, kernelVerdicts } from "./captures.ts";
import {
  expectNothingInvented,
  expectSubset,
  fullFile,
  fullText,
  HEX_ROW,
  isLegacyIde,
  plain,
  textOf,
} from "./lspci-claims.ts";

const rules = rulesForKernel("6.12.117");
/** What an ordinary user's lspci prints: no capabilities where there are any. */
const asUser = (text: string): string =>
  text
    .replace(HEX_ROW, "")
    .replace(
      /^\tCapabilities: \[.*\n(?:\t\t.*\n|\tCapabilities: \[.*\n)*/gm,
      "\tCapabilities: <access denied>\n",
    );

describe.each(CAPTURES)("captured machine %s, as lspci printed it", (name) => {
  it("gets the kernel's type and distance for every pair from -vvvxxxx and the CPU", async () => {
    const { cpu } = (await readCapture(captureFolder(name))).facts;
    const topology = (await readCapture(fullFile(name))).withFacts(
      cpu === undefined ? {} : { cpu },
    );

    const ours = kernelVerdicts(name).map(({ provider, client }) => {
      const rows = [topology.require(provider), topology.require(client)] as const;
      const { type, distance } = judgePair(topology, rules, ...rows);
      return { provider, client, type, distance };
    });

    expect(ours).toEqual(kernelVerdicts(name));
  });

  it("holds in -vvvxxxx what /sys holds of every function", async () => {
    const whole = await readCapture(captureFolder(name));
    const topology = await readCapture(fullFile(name));

    const withoutIde = (records: object[]) =>
      records.map((record) =>
        isLegacyIde(record as FunctionRecord) ? { ...record, bars: [] } : record,
      );
    expect(withoutIde(plain(topology))).toEqual(withoutIde(plain(whole)));
    expect(topology.facts.tree).toBe("whole");
  });

  it("claims nothing from -vvvxxxx that hangs on the CPU, which lspci does not show", async () => {
    const topology = await readCapture(fullFile(name));

    expectNothingInvented(topology, rules, name);
    expect(cpuAnswer(topology, rules)).toBe("unknown");
    expect(topology.facts.missing.map(({ fact }) => fact)).toContain("cpu");
    const refusals = kernelVerdicts(name).filter(({ type }) => type === "unsupported");
    const ours = refusals.map(({ provider, client }) =>
      judgePair(topology, rules, topology.require(provider), topology.require(client)),
    );
    expect(ours.filter(({ type }) => type !== "unknown")).toEqual([]);
  });

  it.each([
    ["-vvv as root, without config space", (text: string) => text.replace(HEX_ROW, "")],
    ["-vvv as an ordinary user", asUser],
    ["-xxxx without details", (text: string) => text.replace(/^\t.*\n/gm, "")],
    ["-xxx without details", (text: string) => text.replace(/^\t.*\n|^[0-9a-f]{3}: .*\n/gm, "")],
    [
      "-x without details",
      (text: string) => text.replace(/^\t.*\n|^(?:[4-9a-f]0|[0-9a-f]{3}): .*\n/gm, ""),
    ],
  ])("invents nothing from %s", async (_, less) => {
    const whole = await readCapture(captureFolder(name));

    const topology = topologyFromLspci("listing", less(fullText(name)));

    expect(topology.count).toBe(whole.count);
    expectSubset(topology, whole);
    expectNothingInvented(topology, rules, name);
  });

  it("does not take an ordinary user's listing for one without ACS", () => {
    const topology = topologyFromLspci("listing", asUser(fullText(name)));

    const { acsState, portType } = topology.table;
    const express = topology.endpoints.filter((row) => portType[row] === PORT_TYPE_UNKNOWN);
    expect(express.every((row) => acsState[row] === ACS_UNKNOWN)).toBe(true);
    for (const { provider, client, type } of kernelVerdicts(name)) {
      const rows = [topology.require(provider), topology.require(client)] as const;
      const isConventional = rows.every((row) => portType[row] !== PORT_TYPE_UNKNOWN);
      const ours = judgePair(topology, rules, ...rows);
      expect(ours.type === "bus-addr" && !isConventional, `${provider} ${client} ${type}`).toBe(
        false,
      );
    }
  });

  it("claims no path from -nn, which has no tree", async () => {
    const whole = await readCapture(captureFolder(name));

    const topology = topologyFromLspci("list", textOf(name, "lspci-nn.txt"));

    expect(topology.count).toBe(whole.count);
    expectSubset(topology, whole);
    const verdicts = kernelVerdicts(name);
    expect(expectNothingInvented(topology, rules, name)).toBe(verdicts.length);
    expect(topology.facts.missing.map(({ fact }) => fact)).toContain("acs");
  });

  it("has the tree of -tv, and no verdict that ACS or ids could change", async () => {
    const whole = await readCapture(captureFolder(name));

    const topology = topologyFromLspci("tree", textOf(name, "lspci-tv.txt"));

    // Without a function at 00.0 a tree may be that of a part of the machine (lspci -t -s).
    expect(topology.facts.tree).toBe(whole.indexOf("0000:00:00.0") < 0 ? "chains" : "whole");
    expectSubset(topology, whole);
    expect(topology.records().map(({ bdf, parent, rootBus }) => [bdf, parent, rootBus])).toEqual(
      whole.records().map(({ bdf, parent, rootBus }) => [bdf, parent, rootBus]),
    );
    expect(expectNothingInvented(topology, rules, name)).toBe(kernelVerdicts(name).length);
    expect(hostBridgesOf(topology, rules).every(({ alone }) => alone !== "yes")).toBe(true);
  });
});
