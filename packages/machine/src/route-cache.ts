/**
 * Route cache: the last routes one requester used, so that walking the fabric is the exception.
 *
 * A route holds for a whole BAR or bank of RAM, so a handful serves almost every access. The fabric
 * empties all caches whenever something changes that decides routes.
 */
import type { Route } from "./route.ts";

/** Routes kept for a requester and kind of access. */
const ROUTES_MAX = 8;

export class RouteCache {
  readonly #routes: Route[] = [];
  #next = 0;
  #last: Route | undefined;
  /** The state of the fabric these routes were found in. */
  generation = 0;

  find(physical: number): Route | undefined {
    const last = this.#last;
    if (last !== undefined && physical >= last.from && physical < last.until) {
      return last;
    }
    for (let index = 0; index < this.#routes.length; index++) {
      const route = this.#routes[index] as Route;
      if (physical >= route.from && physical < route.until) {
        this.#last = route;
        return route;
      }
    }
    return undefined;
  }

  keep(route: Route): void {
    this.#routes[this.#next] = route;
    this.#next = (this.#next + 1) % ROUTES_MAX;
    this.#last = route;
  }

  clear(generation: number): void {
    this.#routes.length = 0;
    this.#next = 0;
    this.#last = undefined;
    this.generation = generation;
  }
}
