/**
 * Asynchronous events: what a controller tells unasked (NVMe 1.4 section 5.2).
 *
 * The host leaves requests with the controller; an event completes one of them. Events that find no
 * request wait. After one is told, others wait until the host has read the error log (section 5.2.1);
 * one kind waits once.
 */
import { ERROR_LOG_PAGE } from "./error-log.ts";

/** Requests that may be left with the controller (AERL + 1). */
export const EVENT_REQUESTS_MAX = 4;

/** Events of type "error status", type 0 (figure 146). */
export const ERROR_EVENT = { INVALID_DOORBELL_REGISTER: 0, INVALID_DOORBELL_VALUE: 1 } as const;

export type ErrorEvent = (typeof ERROR_EVENT)[keyof typeof ERROR_EVENT];

export class AsyncEvents {
  readonly #complete: (commandId: number, result: number) => void;
  /** Identifiers of the requests, oldest first. */
  readonly #requests: number[] = [];
  readonly #waiting = new Set<ErrorEvent>();
  #isMasked = false;

  /** `complete` ends a request with dword 0 of its completion. */
  constructor(complete: (commandId: number, result: number) => void) {
    this.#complete = complete;
  }

  /** `false`: as many as there may be are there already. */
  request(commandId: number): boolean {
    if (this.#requests.length === EVENT_REQUESTS_MAX) {
      return false;
    }
    this.#requests.push(commandId);
    this.#tell();
    return true;
  }

  /** `false`: there is no such request. */
  withdraw(commandId: number): boolean {
    const index = this.#requests.indexOf(commandId);
    if (index >= 0) {
      this.#requests.splice(index, 1);
    }
    return index >= 0;
  }

  report(event: ErrorEvent): void {
    this.#waiting.add(event);
    this.#tell();
  }

  /** The host has read the error log: the next event may be told. */
  unmask(): void {
    this.#isMasked = false;
    this.#tell();
  }

  clear(): void {
    this.#requests.length = 0;
    this.#waiting.clear();
    this.#isMasked = false;
  }

  #tell(): void {
    const [event] = this.#waiting;
    const [commandId] = this.#requests;
    if (event === undefined || commandId === undefined || this.#isMasked) {
      return;
    }
    this.#waiting.delete(event);
    this.#requests.shift();
    this.#isMasked = true;
    this.#complete(commandId, (ERROR_LOG_PAGE << 16) | (event << 8));
  }
}
