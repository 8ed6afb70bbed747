/**
 * Hangs on: an unknown verdict names the facts it hangs on, and the real kernel's answer is always
 * what one of the outcomes said.
 */
import {
  buildTopology,
  factsNamed,
  judgeAllPairs,
  judgePair,
  type MachineFacts,
  redirectAnswer,
  rulesForKernel,
  topologyFromSysfs,
  treeFromJson,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, kernelVerdicts, type SysfsJson, sysfsJson } from "./captures.ts";

const rules = rulesForKernel();

const open = (capture: SysfsJson) =>
  topologyFromSysfs(treeFromJson("cut capture", JSON.stringify(capture)));

/** The capture as an ordinary user makes it, without the CPU. */
function cut(capture: SysfsJson): SysfsJson {
  delete capture.files["proc/cpuinfo"];
  for (const content of Object.values(capture.binary)) {
    content.hex = content.hex.slice(0, 128);
    content.length = Math.min(content.length, 64);
  }
  return capture;
}

describe.each(CAPTURES)("captured machine %s, cut to what an ordinary user sees", (name) => {
  it("hangs on facts of which each leaves the kernel's answer possible once it is known", () => {
    const whole = open(sysfsJson(name));
    const less = open(cut(sysfsJson(name)));
    for (const { provider, client, type } of kernelVerdicts(name)) {
      const [p, c] = [less.require(provider), less.require(client)];
      const verdict = judgePair(less, rules, p, c);
      expect(verdict.hangsOn.length > 0).toBe(verdict.type === "unknown");
      for (const hang of verdict.hangsOn) {
        const types = new Set(hang.outcomes.flatMap((outcome) => outcome.types));
        expect(types.has(type), hang.text).toBe(true);
        if (hang.fact === "acs") {
          const isOn = redirectAnswer(whole, rules, whole.require(hang.at ?? "")) === "yes";
          const value = isOn ? "redirect on" : "redirect off";
          const outcome = hang.outcomes.find((each) => each.value === value);
          expect(outcome?.types).toContain(type);
        }
      }
    }
  });
});

const facts = (tree: MachineFacts["tree"], vendor: string): MachineFacts => ({
  ...factsNamed("lab"),
  format: "a drawing",
  tree,
  cpu: { vendor, family: 0x19 },
});

/** Two cards below one switch port that was not read, and one elsewhere. */
const machine = (tree: MachineFacts["tree"], vendor: string) =>
  buildTopology(facts(tree, vendor), [
    { bdf: "00:01.0", secondaryBus: 1, subordinateBus: 2, classCode: 0x060400 },
    { bdf: "01:00.0", secondaryBus: 2, subordinateBus: 2, acs: "absent" },
    { bdf: "02:00.0", classCode: 0x030000, acs: "absent" },
    { bdf: "02:01.0", classCode: 0x010802 },
    { bdf: "40:00.0", vendor: 0x8086, device: 0x09a2, classCode: 0x020000, acs: "absent" },
  ]);

describe("a pair below a bridge", () => {
  it("says what one unread function decides", () => {
    const topology = machine("whole", "AuthenticAMD");

    const verdict = judgePair(topology, rules, 2, 3);

    expect(verdict.type).toBe("unknown");
    expect(verdict.hangsOn.map(({ text }) => text)).toEqual([
      "if 0000:02:01.0 has ACS redirect off: bus-addr, else host-bridge",
    ]);
    expect(verdict.hangsOn[0]?.outcomes).toEqual([
      { value: "redirect off", types: ["bus-addr"] },
      { value: "redirect on", types: ["host-bridge"] },
    ]);
  });
});

describe("a capture that may leave bridges out", () => {
  it("claims neither a distance nor that there is no common bridge, even with an accepted CPU", () => {
    const topology = machine("gaps", "AuthenticAMD");

    const verdict = judgePair(topology, rules, 2, 4);

    expect(verdict).toMatchObject({ type: "unknown", distance: -1 });
    expect(verdict.reasons[0]?.code).toBe("BRIDGES_UNKNOWN");
    expect(verdict.hangsOn[0]?.text).toBe(
      "if a bridge that a drawing does not show is above both and nothing below it redirects: bus-addr, else host-bridge",
    );
  });

  it("that shows a bridge above both says what lies between decides, shown or not", () => {
    const topology = machine("gaps", "GenuineIntel");

    const verdict = judgePair(topology, rules, 2, 3);

    expect(verdict.reasons.map(({ code }) => code).slice(0, 2)).toEqual([
      "COMMON_BRIDGE",
      "BRIDGES_UNKNOWN",
    ]);
    expect(verdict.hangsOn.map(({ text }) => text)).toEqual([
      "if no function below 0000:01:00.0 on the way redirects, nor a bridge there that a drawing does not show: bus-addr, else host-bridge or unsupported",
      "if the kernel's table accepts the host bridge above them for this: bus-addr or host-bridge, else bus-addr or unsupported",
    ]);
    expect(verdict.hangsOn[1]).not.toHaveProperty("at");
  });

  it("is judged alike one pair at a time and all at once", () => {
    const topology = machine("gaps", "GenuineIntel");
    const pairs = judgeAllPairs(topology, rules);

    for (const provider of topology.endpoints) {
      for (const client of topology.endpoints) {
        const { type, distance } = judgePair(topology, rules, provider, client);
        const [p, c] = [pairs.positionOf(provider), pairs.positionOf(client)];
        expect([pairs.typeAt(p, c), pairs.distanceAt(p, c)]).toEqual([type, distance]);
      }
    }
  });
});

describe("a capture with whole chains that may leave functions out", () => {
  it("does not take the first function it shows for the one that names the host bridge", () => {
    const topology = machine("chains", "GenuineIntel");

    const verdict = judgePair(topology, rules, 2, 4);

    expect(verdict).toMatchObject({ type: "unknown", distance: 4 });
    expect(verdict.hangsOn).toEqual([
      expect.objectContaining({ fact: "host-bridge", at: "0000:00" }),
    ]);
  });
});
