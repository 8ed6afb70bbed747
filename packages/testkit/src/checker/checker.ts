/**
 * Checker: the contract, held against any run that is made through it.
 *
 * Like the kernel's debug modes in one (CONFIG_DMABUF_DEBUG, CONFIG_DMA_API_DEBUG, lockdep, KASAN and
 * kmemleak): a framework made by it is the same framework, with every driver, buffer, attachment,
 * mapping, fence, reservation and host page watched. It reports and never stops a run.
 *
 * What it cannot see: work of the hardware, unless its engine asks `deviceAccess`; and who runs after
 * an `await`, unless the one who drives the run says so in `actor`.
 */
import type { Framework, FrameworkOptions, SegmentList } from "@peerbuf/core";
import { CheckedFramework } from "./checked-framework.ts";
import { type DeviceAccess, judgeAccess } from "./device-access.ts";
import { beginWork } from "./device-work.ts";
import type { Violation } from "./violation.ts";
import { Watch, type WatchOptions } from "./watch.ts";

export type CheckerOptions = WatchOptions;

export interface Checker {
  /** Found so far, in order; each once, at most 1000. */
  readonly violations: readonly Violation[];
  /** Who runs now; the one who drives the run may say so. */
  actor: string;
  /** `createFramework`, with everything in it watched. */
  framework(options: FrameworkOptions): Framework;
  /** A device's engine asks before it reads or writes. `false`: not allowed, let it reach nothing. */
  deviceAccess(access: DeviceAccess): boolean;
  /** A device's engine works on a mapping until `end`: unmapping it meanwhile is a violation. */
  deviceWork(segments: SegmentList): { end(): void };
  /** The work, with all it awaits, is done by this actor; follows promises, which costs something. */
  task<T>(actor: string, work: () => T): T;
  /** Nothing is going to happen any more, and nothing is closed yet: unsignaled fences are reported. */
  atRest(): void;
  /** The run is over: whatever is left unsignaled, locked, attached, open or held is reported. */
  finish(): readonly Violation[];
}

export function createChecker(options: CheckerOptions = {}): Checker {
  return new RunChecker(options);
}

class RunChecker implements Checker {
  readonly #watch: Watch;

  constructor(options: CheckerOptions) {
    this.#watch = new Watch(options);
  }

  get violations(): readonly Violation[] {
    return this.#watch.log.kept;
  }

  get actor(): string {
    return this.#watch.actors.current;
  }

  set actor(name: string) {
    this.#watch.actors.current = name;
  }

  framework(options: FrameworkOptions): Framework {
    return new CheckedFramework(this.#watch, options);
  }

  deviceAccess(access: DeviceAccess): boolean {
    return judgeAccess(this.#watch, access);
  }

  deviceWork(segments: SegmentList): { end(): void } {
    return beginWork(this.#watch, segments);
  }

  task<T>(actor: string, work: () => T): T {
    return this.#watch.actors.runTask(actor, work);
  }

  atRest(): void {
    this.#watch.fences.finish();
  }

  finish(): readonly Violation[] {
    this.#watch.finish();
    return this.violations;
  }
}
