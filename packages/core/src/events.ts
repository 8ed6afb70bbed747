/**
 * Events: what happened, for people and tools.
 *
 * Nothing in core listens to them, and with no listener not even the event object is made.
 */
import type { Observable } from "rxjs";
// Not from "rxjs": that loads 230 files, which is most of what loading this package costs.
import { Subject } from "rxjs/internal/Subject";
import type { Decision } from "./decision.ts";

export type FrameworkEvent =
  | { readonly kind: "driver-opened" | "driver-closed"; readonly driver: string }
  | {
      readonly kind: "buffer-exported" | "buffer-released";
      readonly buffer: string;
      readonly sizeBytes: number;
    }
  | { readonly kind: "attached" | "detached"; readonly buffer: string; readonly importer: string }
  | {
      readonly kind: "mapped" | "unmapped";
      readonly buffer: string;
      readonly importer: string;
      readonly target: string;
      readonly route: string;
    }
  | {
      readonly kind: "decision";
      readonly buffer: string;
      readonly importer: string;
      readonly decision: Decision;
    };

/** The sending side. Ask `watched` before building an event: 1 ns against 30. Made when somebody first looks. */
export class EventSource {
  #subject: Subject<FrameworkEvent> | undefined;
  #stream: Observable<FrameworkEvent> | undefined;
  #isOver = false;

  /** The same one each time; over as soon as it is subscribed to when nothing will come any more. */
  get stream(): Observable<FrameworkEvent> {
    this.#stream ??= this.#begin().asObservable();
    return this.#stream;
  }

  get watched(): boolean {
    return this.#subject?.observed === true;
  }

  send(event: FrameworkEvent): void {
    this.#subject?.next(event);
  }

  end(): void {
    this.#isOver = true;
    this.#subject?.complete();
  }

  #begin(): Subject<FrameworkEvent> {
    const subject = new Subject<FrameworkEvent>();
    if (this.#isOver) {
      subject.complete();
    }
    this.#subject = subject;
    return subject;
  }
}
