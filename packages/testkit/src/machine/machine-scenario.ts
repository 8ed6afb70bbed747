/**
 * Machine scenario: a scenario whose world stands on a modelled machine.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Play, Scenario } from "../explorer/scenario.ts";
import type { GroundMaker } from "../ground/ground.ts";
import type { World } from "../ground/world.ts";
import { MachineGround, type MachineGroundOptions, type Models } from "./machine-ground.ts";

export interface MachineScenario<Placed extends Models> extends Omit<Scenario, "world" | "play"> {
  readonly ground: MachineGroundOptions<Placed>;
  play(world: World, ground: MachineGround<Placed>): Play;
}

/** Turns that start hardware come on top of those of a light world. */
const TURNS_MAX = 2_000;

/** The same scenario on a machine; devices are found by the roles that the machine gives them. */
export const onMachine = (scenario: Scenario, options: MachineGroundOptions): Scenario => ({
  ...scenario,
  turnsMax: TURNS_MAX,
  isTracked: false,
  world: { ground: (world) => new MachineGround(world, options) },
});

export function machineScenario<Placed extends Models>(options: MachineScenario<Placed>): Scenario {
  const { ground, play, ...rest } = options;
  const grounds = new WeakMap<World, MachineGround<Placed>>();
  const make: GroundMaker = (world) => {
    const made = new MachineGround(world, ground);
    grounds.set(world, made);
    return made;
  };
  return {
    turnsMax: TURNS_MAX,
    ...rest,
    world: { ground: make },
    play(world) {
      const made = grounds.get(world);
      if (made === undefined) {
        throw new PeerbufError("WRONG_ORDER", "this world was not made for this scenario");
      }
      return play(world, made);
    },
  };
}
