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
/**
 * Models wait for as long as hardware does: an RDMA NIC knocks every 120 us, for a second, at memory whose driver has not heard
 * of its page fault (an interrupt was lost); that takes 40,000 turns, and then it ends with an error.
 */
const LIVENESS_TURNS_MAX = 100_000;

/** The same scenario on a machine; devices are found by the roles that the machine gives them. */
export const onMachine = (scenario: Scenario, options: MachineGroundOptions): Scenario => ({
  ...scenario,
  turnsMax: TURNS_MAX,
  livenessTurnsMax: LIVENESS_TURNS_MAX,
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
    livenessTurnsMax: LIVENESS_TURNS_MAX,
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
