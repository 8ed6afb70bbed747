/**
 * Captured machine: any capture with the models that a test wants in its slots, and a framework over it.
 */
import { fileURLToPath } from "node:url";
import { createFramework, type Framework } from "@peerbuf/core";
import {
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type Machine,
  type ModelledPlatform,
  type PlatformOptions,
} from "@peerbuf/machine";
import { createJudge, KERNEL_DEFAULT, readCapture, rulesForKernel } from "@peerbuf/topology";
import { expect } from "vitest";

export interface CapturedMachine extends Disposable {
  readonly machine: Machine;
  readonly platform: ModelledPlatform;
  readonly framework: Framework;
}

/** By BDF. */
export type Models = Readonly<Record<string, DeviceModel>>;

/** At the end nothing may be out: not a mapping, not a page, not an interrupt handler. */
export async function startCaptured(
  capture: string,
  models: Models | ((machine: Machine) => Models),
  options: PlatformOptions = {},
): Promise<CapturedMachine> {
  const folder = new URL(`../../../test/fixtures/captures/${capture}`, import.meta.url);
  const topology = await readCapture(fileURLToPath(folder));
  const machine = createMachine({ topology });
  for (const [bdf, model] of Object.entries(
    typeof models === "function" ? models(machine) : models,
  )) {
    machine.place(bdf, model);
  }
  const platform = createModelledPlatform(machine, options);
  const judge = createJudge(topology, rulesForKernel(KERNEL_DEFAULT));
  const framework = createFramework({ platform, judge });
  const dispose = (): void => {
    framework.close();
    expect(machine.handles()).toEqual({
      mappings: 0,
      coherent: 0,
      hostAllocations: 0,
      hostPages: 0,
      interruptHandlers: 0,
    });
  };
  return { machine, platform, framework, [Symbol.dispose]: dispose };
}
