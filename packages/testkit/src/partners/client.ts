/**
 * Client: the kit's own partner for exporters: attaches, maps, lets its device read or write, and lets go.
 *
 * Keeps every rule: waits until the bytes are there, puts the fence of its work into the buffer before its device begins,
 * maps again after a move, unmaps when the work is over. `lifetime` says what it does when the buffer moves.
 */
import {
  type Attachment,
  type Device,
  type Direction,
  DMA,
  type DmaBuf,
  deviceWrites,
  type FenceContext,
  type Importer,
  type Lifetime,
  type Mapping,
  type MappingOffer,
  type Offer,
  P2P,
  SoftwareFence,
  usageBefore,
} from "@peerbuf/core";
import { type Script, type Step, step, waitFence } from "../explorer/step.ts";
import type { DmaEngine } from "../ground/dma-engine.ts";
import type { World } from "../ground/world.ts";

export interface ClientOptions {
  readonly direction?: Direction;
  /** Default `movable`. */
  readonly lifetime?: Lifetime;
  /** Default P2P and DMA. */
  readonly types?: readonly MappingOffer[];
  /** How often it maps and uses the buffer before it detaches; default 1. */
  readonly uses?: number;
  /** Bytes of one use, from the start of the buffer; default 64. */
  readonly lengthBytes?: number;
  /** What each byte must be when it reads; left out: not looked at. Reported as EXP-031. */
  readonly expects?: number;
  /** What it writes; default 0xc1. */
  readonly fill?: number;
}

const BOTH: readonly MappingOffer[] = Object.freeze([{ type: P2P }, { type: DMA }]);
/** Moves that one use follows before it gives up. */
const FOLLOWS_MAX = 16;

export class Client {
  readonly importer: Importer;
  readonly device: Device;
  /** Made at once: lanes are numbered as they come, whatever the schedule. */
  readonly #engine: DmaEngine;
  readonly #world: World;
  readonly #options: ClientOptions;
  #context: FenceContext | undefined;
  #attachment: Attachment | undefined;
  #mapping: Mapping | undefined;
  /** The device still works. */
  #work: SoftwareFence | undefined;
  #seqno = 0;

  constructor(world: World, deviceId: string, options: ClientOptions = {}) {
    this.#world = world;
    this.device = world.device(deviceId);
    this.#engine = world.engineOf(this.device);
    this.#options = options;
    const { lifetime = "movable", types = BOTH } = options;
    this.importer =
      lifetime === "pinned"
        ? new StayingImporter(this.device, types)
        : new FollowingImporter(this, types, lifetime === "revocable");
  }

  /** One attachment from its beginning to its end. Refusals come out of it as they are. */
  *use(buffer: DmaBuf): Script {
    try {
      yield ATTACH;
      this.#world.looksAt(buffer);
      this.#attachment = buffer.attach(this.importer);
      for (let use = 0; use < (this.#options.uses ?? 1); use++) {
        yield* this.#once(buffer, this.#attachment);
      }
      yield DETACH;
    } finally {
      this.#letGo();
    }
  }

  *#once(buffer: DmaBuf, attachment: Attachment): Script {
    const { direction = "to-device" } = this.#options;
    for (let follows = 0; follows < FOLLOWS_MAX; follows++) {
      yield MAP;
      this.#world.looksAt(buffer);
      const mapping = attachment.map(direction);
      this.#mapping = mapping;
      const mustWait = mapping.ready?.poll() === false;
      if (mustWait && !this.#world.fault("sync-mismatch", this.device.id)) {
        yield waitFence("waits for the bytes", mapping.ready);
      }
      this.#world.looksAt(buffer);
      const isUsed = !mapping.isStale && (yield* this.#transfer(buffer, mapping));
      yield UNMAP;
      this.#unmap();
      if (isUsed) {
        return;
      }
    }
  }

  /** False: the buffer moved while we were on our way, and nothing has begun. */
  *#transfer(buffer: DmaBuf, mapping: Mapping): Generator<Step | undefined, boolean, unknown> {
    const isRead = !deviceWrites(mapping.direction);
    const before = usageBefore(isRead ? "read" : "write");
    yield {
      label: "starts its device",
      touches: [],
      until: () => {
        this.#world.looksAt(buffer); // What is stale it has made so.
        return mapping.isStale || buffer.reservation.testSignaled(before);
      },
    };
    if (mapping.isStale) {
      return false;
    }
    const local = new Uint8Array(this.#options.lengthBytes ?? 64);
    if (!isRead) {
      local.fill(this.#options.fill ?? 0xc1);
    }
    const late = mapping.ready?.poll() === false;
    const fence = this.#begin(buffer, isRead);
    let isDone = false;
    const kind = isRead ? "read" : "write";
    this.#engine.start(mapping.segments, 0, local.length, kind, local, (ok) => {
      isDone = ok;
      this.#work = undefined;
      fence.signal();
    });
    yield waitFence("waits for its device", fence);
    if (isDone && isRead && !late) {
      this.#compare(local);
    }
    return true;
  }

  #begin(buffer: DmaBuf, isRead: boolean): SoftwareFence {
    this.#context ??= buffer.reservation.domain.createContext({
      driverName: "client",
      timelineName: this.device.id,
    });
    const fence = new SoftwareFence(this.#context, ++this.#seqno);
    buffer.addFence(fence, isRead ? "read" : "write");
    this.#world.stateOf(this.device).called();
    this.#work = fence;
    return fence;
  }

  #compare(bytes: Uint8Array): void {
    const { expects } = this.#options;
    const wrong = expects === undefined ? -1 : firstOther(bytes, expects);
    if (wrong >= 0) {
      const found = `0x${(bytes[wrong] as number).toString(16)}`;
      const text = `${this.device.id} reads ${found} at byte ${wrong}, where 0x${expects?.toString(16)} was`;
      this.#world.report("EXP-031", text, this.device.id);
    }
  }

  /** Its own turn and a move that tells it share what it holds. */
  #unmap(): void {
    this.#world.stateOf(this.device).called();
    const mapping = this.#mapping;
    this.#mapping = undefined;
    mapping?.[Symbol.dispose]();
  }

  #letGo(): void {
    if (this.#work === undefined) {
      this.#unmap();
    }
    if (this.#attachment?.mappingCount === 0) {
      this.#attachment[Symbol.dispose]();
    }
  }

  /** Nothing of ours runs: let go now. Else the fence is in the buffer, and the actor unmaps when it signals. */
  invalidated(): void {
    this.#world.stateOf(this.device).called();
    if (this.#work === undefined) {
      this.#unmap();
    }
  }
}

/** Needs the memory to stay where it is. */
class StayingImporter implements Importer {
  readonly name = "client";
  readonly device: Device;
  readonly #types: readonly MappingOffer[];

  constructor(device: Device, types: readonly MappingOffer[]) {
    this.device = device;
    this.#types = types;
  }

  offer(): Offer {
    return { answer: "offer", types: this.#types };
  }
}

/** Is told when the buffer moves, or is taken away. */
class FollowingImporter extends StayingImporter {
  readonly pins: boolean;
  readonly #client: Client;

  constructor(client: Client, types: readonly MappingOffer[], pins: boolean) {
    super(client.device, types);
    this.#client = client;
    this.pins = pins;
  }

  invalidateMappings(): void {
    this.#client.invalidated();
  }
}

function firstOther(bytes: Uint8Array, expected: number): number {
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] !== expected) {
      return at;
    }
  }
  return -1;
}

const ATTACH = step("attaches");
const MAP = step("maps");
const UNMAP = step("unmaps");
const DETACH = step("detaches");
