/** The peer-to-peer program of `docs/linux.md` prints what stands below it, on two drives of this guest. */
import { BlockDevice, p2pProviders } from "@peerbuf/linux";
import { readLive } from "@peerbuf/topology";
import { expect, it } from "vitest";
import { programsIn, runProgram } from "../page-programs.ts";

const programs = programsIn("docs/linux.md");

/** Drives without the provider: first those below its switch. */
async function drives(): Promise<string[]> {
  const topology = readLive();
  const provider = p2pProviders()[0]?.bdf ?? "";
  const switchOf = (bdf: string): number =>
    topology.parentOf(topology.parentOf(topology.require(bdf)));
  const near: string[] = [];
  const far: string[] = [];
  for (const name of ["nvme0n1", "nvme1n1", "nvme2n1"]) {
    const drive = await BlockDevice.open(`/dev/${name}`);
    const bdf = drive.bdf ?? "";
    await drive.close();
    if (bdf !== provider) {
      const isNear = switchOf(bdf) >= 0 && switchOf(bdf) === switchOf(provider);
      (isNear ? near : far).push(`/dev/${name}`);
    }
  }
  return [...near, ...far];
}

it("docs/linux.md: what needs peer-to-peer prints what is written there", async () => {
  const [program] = programs.filter(({ needs }) => needs === "p2pdma");
  expect(program).toBeDefined();
  if (program !== undefined) {
    expect(await runProgram(programs, program, await drives())).toBe(program.prints);
  }
});
