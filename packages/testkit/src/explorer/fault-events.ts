/**
 * Fault events: faults that come by themselves, as processes that may get a turn and need none.
 *
 * Each kind can happen while the run's allowance lasts; which buffer, device or actor it hits is a decision.
 */
import { type PeerbufError, reason } from "@peerbuf/core";
import { EVENT_FAULTS, type EventFault } from "../ground/fault-kind.ts";
import type { Touches } from "../ground/touches.ts";
import type { WatchedBuffer } from "../ground/watched-exporter.ts";
import type { World } from "../ground/world.ts";
import type { ActorProcess, Process, Thrown } from "./process.ts";

/** The first id of a fault; lanes have those before. */
export const FAULT_ID = 26;

/** What fault events need of the run they happen in. */
export interface FaultScene extends Thrown {
  readonly world: World;
  readonly actors: readonly ActorProcess[];
  readonly storm: (() => void) | undefined;
  /** Something now goes on in promises. */
  hasPromises(): void;
}

export function faultProcesses(scene: FaultScene): FaultProcess[] {
  return EVENT_FAULTS.filter((kind) => scene.world.mayFail(kind)).map(
    (kind) => new FaultProcess(kind, scene),
  );
}

const GONE = reason("FAULT_INJECTED", "the explorer takes the memory away");

export class FaultProcess implements Process {
  readonly id: number;
  readonly name: string;
  readonly kind = "fault";
  readonly label = "happens";
  readonly cause = -1;
  readonly isConditional = false;
  readonly #kind: EventFault;
  readonly #scene: FaultScene;

  constructor(kind: EventFault, scene: FaultScene) {
    this.id = FAULT_ID + EVENT_FAULTS.indexOf(kind);
    this.name = kind;
    this.#kind = kind;
    this.#scene = scene;
  }

  get isFinished(): boolean {
    return !this.#scene.world.mayFail(this.#kind);
  }

  isReady(): boolean {
    return !this.isFinished && HAS_TARGET[this.#kind](this.#scene);
  }

  declare(touches: Touches): void {
    touches.everything();
  }

  run(): void {
    const { world } = this.#scene;
    const count = this.#targetCount();
    const which = count > 1 ? world.decisions.choose(count, `which one: ${this.#kind}`) : 0;
    try {
      HAPPENS[this.#kind](this.#scene, which);
    } catch (error) {
      this.#scene.thrown(this.name, error);
    }
  }

  #targetCount(): number {
    return COUNTS[this.#kind](this.#scene);
  }
}

/** Asked before every turn. */
const HAS_TARGET: Readonly<Record<EventFault, (scene: FaultScene) => boolean>> = {
  revoke: ({ world }) => world.buffers.some(isHeld),
  reset: ({ world }) => world.buffers.some(isHeld),
  "eviction-storm": ({ storm }) => storm !== undefined,
  unplug: ({ world }) =>
    world.ground === undefined
      ? world.buffers.some((buffer) => isHeld(buffer) && isUsed(world, buffer))
      : world.ground.removable().length > 0,
  "importer-dies": ({ actors }) => actors.some(isMortal),
};

const COUNTS: Readonly<Record<EventFault, (scene: FaultScene) => number>> = {
  revoke: ({ world }) => held(world).length,
  reset: ({ world }) => held(world).length,
  "eviction-storm": ({ storm }) => (storm === undefined ? 0 : 1),
  unplug: ({ world }) => clients(world).length,
  "importer-dies": ({ actors }) => mortals(actors).length,
};

const HAPPENS: Readonly<Record<EventFault, (scene: FaultScene, which: number) => void>> = {
  revoke: (scene, which) => revoke(scene, "revoke", which),
  reset: (scene, which) => revoke(scene, "reset", which),
  "eviction-storm"({ world, storm }) {
    world.failed("eviction-storm", "every buffer");
    storm?.();
  },
  unplug({ world }, which) {
    const id = clients(world)[which] as string;
    world.failed("unplug", id);
    world.unplug(id);
  },
  "importer-dies"({ world, actors }, which) {
    const actor = mortals(actors)[which] as ActorProcess;
    world.failed("importer-dies", actor.name);
    actor.die();
  },
};

/** The exporter takes a buffer away; after a reset it brings it back as soon as nobody holds it any more. */
function revoke(scene: FaultScene, kind: "revoke" | "reset", which: number): void {
  const { world } = scene;
  const { control, name } = held(world)[which] as WatchedBuffer;
  world.failed(kind, name);
  scene.hasPromises();
  const after = (): void => {
    if (kind === "reset") {
      control.restore();
    }
  };
  // A buffer that moves just now, or whose reservation somebody holds, refuses; nothing has happened then.
  control.revoke(GONE).then(after, (error: PeerbufError) => world.say(`${kind}: ${error.code}`));
}

const isHeld = ({ isReleased }: WatchedBuffer): boolean => !isReleased;

const held = ({ buffers }: World): WatchedBuffer[] => buffers.filter(isHeld);

const isUsed = (world: World, { control }: WatchedBuffer): boolean =>
  control.attachments.some(({ client }) => !world.isGone(client));

const isMortal = ({ mayDie, isFinished, isDead }: ActorProcess): boolean =>
  mayDie && !isFinished && !isDead;

const mortals = (actors: readonly ActorProcess[]): ActorProcess[] => actors.filter(isMortal);

/** Devices that are attached to something now, or that the ground can lose. */
function clients(world: World): readonly string[] {
  if (world.ground !== undefined) {
    return world.ground.removable();
  }
  const ids = new Set<string>();
  for (const { control } of held(world)) {
    for (const { client } of control.attachments) {
      if (!world.isGone(client)) {
        ids.add(client.id);
      }
    }
  }
  return [...ids];
}
