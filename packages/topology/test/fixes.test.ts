/**
 * Fixes: every promise is kept on the model, and every parameter is one that the kernel reads.
 */
import {
  compareKernels,
  controlUnder,
  diagnoseMachine,
  diagnosePair,
  type Fix,
  judgePair,
  type KernelRules,
  movedTopology,
  parseCommandLine,
  parseDeviceList,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder } from "./captures.ts";

const rules = rulesForKernel("6.12");

/** The machine after a fix, made from what the fix says and nothing else. */
function after(topology: Topology, fix: Fix): Topology {
  const cleared = topology.withAcsControl(
    new Map(
      fix.acsChanges.map(({ at, controlAfter }) => [topology.require(at), controlAfter] as const),
    ),
  );
  return fix.moves.length === 0 ? cleared : movedTopology(cleared, fix.moves);
}

/** Rules that a fix leads to: the text of a kernel fix names the version. */
function rulesAfter(fix: Fix): KernelRules {
  const version = /Boot Linux (\d+\.\d+)/.exec(fix.text)?.[1];
  return version === undefined ? rules : rulesForKernel(version);
}

function promiseKept(topology: Topology, fix: Fix): void {
  const changed = after(topology, fix);
  for (const { provider, client, before, after: promised } of fix.effect?.changes ?? []) {
    const rows = [topology.require(provider), topology.require(client)] as const;
    expect(judgePair(topology, rules, ...rows).type).toBe(before);
    expect(judgePair(changed, rulesAfter(fix), ...rows).type).toBe(promised);
  }
}

/** The parameter as the kernel will see it: the line for systemd-boot has no escapes. */
const parameterOf = (fix: Fix): string | undefined =>
  fix.steps.find(({ by }) => by === "systemd-boot")?.lines[0];

/** Every fix for the machine, and for each pair of its functions. */
function allFixes(topology: Topology): Fix[] {
  const ofMachine = diagnoseMachine(topology, rules, { between: topology.endpoints }).findings;
  const rows = [...topology.endpoints];
  const ofPairs = rows.flatMap((provider, index) =>
    rows
      .filter((client, other) => client !== provider && (index + other) % 5 === 0)
      .flatMap((client) => diagnosePair(topology, rules, provider, client, { between: [] }).fixes),
  );
  return [...ofMachine.flatMap(({ fixes }) => fixes), ...ofPairs];
}

const machines = await Promise.all(
  CAPTURES.map(async (name) => [name, await readCapture(captureFolder(name))] as const),
);
const fixesByMachine = machines.map(
  ([name, topology]) => [name, topology, allFixes(topology)] as const,
);

describe.each(fixesByMachine)("fixes for captured machine %s", (_name, topology, fixes) => {
  it("lead to the verdicts that they promise", () => {
    for (const fix of fixes) {
      promiseKept(topology, fix);
    }
    expect(fixes.filter(({ isPromised, effect }) => isPromised && effect === undefined)).toEqual(
      [],
    );
  });

  it("give parameters that the kernel reads to the end, and that do what the fix promises", () => {
    for (const fix of fixes.filter(({ kind }) => kind === "clear-acs")) {
      const word = parameterOf(fix) ?? "";
      expect(parseDeviceList(word.split("disable_acs_redir=")[1] ?? "").rest).toBeUndefined();
      // Only what this parameter does: an earlier config_acs may overrule it, and the fix then says so.
      const control = controlUnder(topology, parseCommandLine(word));
      for (const { at, controlAfter } of fix.acsChanges) {
        expect([at, control.get(topology.require(at))]).toEqual([at, controlAfter]);
      }
    }
  });

  it("clear redirect bits and leave every other bit alone, now and at boot", () => {
    for (const { acsChanges, steps } of fixes.filter(({ kind }) => kind === "clear-acs")) {
      for (const { controlBefore, controlAfter } of acsChanges) {
        expect(controlAfter).toBe(controlBefore & ~0x2c);
        expect(controlAfter).not.toBe(controlBefore);
      }
      const shell = steps.find(({ by }) => by === "shell");
      expect(shell?.lasts).toBe("until-reboot");
      expect(shell?.lines.map((line) => line.split("  #")[0])).toEqual(
        acsChanges.map(({ at }) => `setpci -s ${at} ECAP_ACS+6.w=0:2c`),
      );
    }
  });
});

it("there are fixes of each kind that is computed", () => {
  const kinds = new Set(
    fixesByMachine.flatMap(([, , fixes]) =>
      fixes.filter(({ isPromised }) => isPromised).map(({ kind }) => kind),
    ),
  );

  expect([...kinds].sort()).toEqual(["clear-acs", "move"]);
});

describe("clearing ACS redirect", () => {
  const fixFor = async (name: string, commandLine?: string): Promise<Fix> => {
    const captured = await readCapture(captureFolder(name));
    const topology = commandLine === undefined ? captured : captured.withFacts({ commandLine });
    const { findings } = diagnoseMachine(topology, rules);
    const fix = findings.find(({ code }) => code.startsWith("REDIRECT"))?.fixes[0];
    return fix as Fix;
  };

  it("names one kind of port by its ids when all of them are meant: no list, nothing to cut", async () => {
    const fix = await fixFor("server-01");

    expect(parameterOf(fix)).toBe("pci=disable_acs_redir=pci:104c:8233");
    expect(fix.acsChanges).toHaveLength(12);
  });

  it("keeps what the command line names already, because the kernel takes the last list only", async () => {
    const fix = await fixFor("server-01", "ro pci=disable_acs_redir=00:04.0");

    expect(parameterOf(fix)).toBe("pci=disable_acs_redir=00:04.0;pci:104c:8233");
  });

  it("escapes semicolons for GRUB, whose script would end the command there", async () => {
    const fix = await fixFor("server-01", "ro pci=disable_acs_redir=00:04.0");
    const grub = fix.steps.find(({ by }) => by === "grub");

    expect(grub?.lines[0]).toBe(
      'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX pci=disable_acs_redir=00:04.0\\;pci:104c:8233"',
    );
    expect(grub?.note).toContain("/proc/cmdline");
  });

  it("offers no parameter that would make the command line longer than the kernel takes", async () => {
    const fix = await fixFor("server-01", "x".repeat(2040));

    expect(fix.steps.map(({ by }) => by)).toEqual(["shell"]);
  });

  it("says when config_acs on the command line would overrule it", async () => {
    const fix = await fixFor("server-01", "pci=config_acs=1@0000:12:01.0");

    expect(fix.steps[0]?.note).toContain("0000:12:01.0");
    expect(fix.steps[0]?.note).toContain("overrules");
  });

  it("tells which IOMMU groups become one", async () => {
    const { cost } = await fixFor("server-01");

    expect(cost.mergedGroups).toContainEqual({
      members: ["0000:12:00.0", "0000:13:00.0"],
      from: [["0000:12:00.0"], ["0000:13:00.0"]],
    });
  });
});

describe("another kernel", () => {
  it("changes nothing on machines whose host bridges both kernels treat alike", async () => {
    const topology = await readCapture(captureFolder("server-05"));

    expect(compareKernels(topology, rules, rulesForKernel("7.2")).changedCount).toBe(0);
  });
});
