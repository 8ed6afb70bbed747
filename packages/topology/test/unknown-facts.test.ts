/**
 * Unknown facts: real captures with less in them, as an ordinary user would have made them.
 *
 * The law: what is certain with less is certain with all, and the same. Nothing is filled in.
 */
import type { PathVerdict } from "@peerbuf/core";
import {
  ACS_UNKNOWN,
  judgePair,
  rulesForKernel,
  type Topology,
  topologyFromSysfs,
  treeFromJson,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, kernelVerdicts, type SysfsJson, sysfsJson } from "./captures.ts";

const rules = rulesForKernel();

const open = (capture: SysfsJson): Topology =>
  topologyFromSysfs(treeFromJson("cut capture", JSON.stringify(capture)));

/** The capture as if `config` files had been read to `bytes` only; `padded` keeps the announced length. */
function cutConfig(capture: SysfsJson, bytes: number, padded = false): SysfsJson {
  for (const content of Object.values(capture.binary)) {
    content.hex = content.hex.slice(0, bytes * 2);
    content.length = padded ? content.length : Math.min(content.length, bytes);
  }
  return capture;
}

/** Checks the law for every pair; returns how many pairs became unknown. */
function expectNothingInvented(topology: Topology, name: string): number {
  let unknownCount = 0;
  for (const { provider, client, type, distance } of kernelVerdicts(name)) {
    const [p, c] = [topology.require(provider), topology.require(client)];
    const verdict: PathVerdict = judgePair(topology, rules, p, c);
    expect(verdict.distance).toBe(distance);
    if (verdict.reads === "unknown") {
      unknownCount += 1;
      expect(verdict.reasons.some(({ code }) => code.endsWith("_UNKNOWN"))).toBe(true);
    } else {
      expect(verdict.reads, `${provider} to ${client}`).toBe(type);
    }
  }
  return unknownCount;
}

describe.each(CAPTURES)("captured machine %s, with less captured", (name) => {
  it.each([
    ["64 bytes of config space", (c: SysfsJson) => cutConfig(c, 64)],
    ["256 bytes of config space", (c: SysfsJson) => cutConfig(c, 256)],
    ["64 bytes padded with zeros, as tar does", (c: SysfsJson) => cutConfig(c, 64, true)],
    ["no config space", (c: SysfsJson) => ({ ...c, binary: {} })],
  ])("invents nothing from %s", (_, cut) => {
    const topology = open(cut(sysfsJson(name)));

    expectNothingInvented(topology, name);
    const extended = Object.values(sysfsJson(name).binary).filter(({ length }) => length === 4096);
    const unread = topology.table.acsState.filter((state) => state === ACS_UNKNOWN);
    expect(unread.length).toBeGreaterThanOrEqual(extended.length);
  });

  it("invents nothing without /proc/cpuinfo, and then no refusal is certain", () => {
    const capture = sysfsJson(name);
    delete capture.files["proc/cpuinfo"];

    const unknownCount = expectNothingInvented(open(capture), name);

    const refusals = kernelVerdicts(name).filter(({ type }) => type === "unsupported");
    expect(unknownCount).toBeGreaterThanOrEqual(refusals.length);
  });

  it("invents nothing where ids and classes are missing", () => {
    const capture = sysfsJson(name);
    for (const path of Object.keys(capture.files)) {
      if (/\/(vendor|device|class)$/.test(path)) {
        delete capture.files[path];
      }
    }
    // Config space still has the ids, except those of virtual functions, which read as all ones.
    expectNothingInvented(open(capture), name);
  });
});

describe("a switch of which an ordinary user captured the headers only", () => {
  it("gives unknown with the ports to read, where the kernel says bus address", () => {
    const topology = open(cutConfig(sysfsJson("switch-09"), 64));
    const turning = kernelVerdicts("switch-09").find(
      ({ type, provider, client }) => type === "bus-addr" && provider !== client,
    );
    const [provider, client] = [turning?.provider ?? "", turning?.client ?? ""];

    const verdict = judgePair(
      topology,
      rules,
      topology.require(provider),
      topology.require(client),
    );

    expect(verdict.type).toBe("unknown");
    const unread = verdict.reasons.filter(({ code }) => code === "ACS_UNKNOWN");
    expect(unread.map(({ at }) => at)).toContain(provider);
    expect(unread[0]?.text).toMatch(
      /64 of 4096 bytes.*if it redirects, the answer is .*, else bus-addr/,
    );
  });
});
