/**
 * Fair share: how fast each of several streams may run over what they share.
 *
 * Max-min fairness by filling: all streams grow together until something they use is full; its streams
 * stay at that rate, the others grow on. So nothing is used beyond its capacity, no stream could be
 * faster without making one slower that is not faster already, and nothing is left that a stream
 * could use. It is what round-robin arbitration in switches comes to (PCIe 6.3.3.2).
 *
 * A stream that uses nothing with a limit gets an infinite rate.
 */

/** What a stream uses: `weights[i]` units of `resources[i]` for each unit of the stream. */
export interface Demand {
  readonly resources: readonly number[];
  readonly weights: readonly number[];
}

/** Filling levels reached this near each other are one: rounding must not leave a resource just below full. */
const LEVEL_TOLERANCE = 1e-12;

export class FairShare {
  readonly #capacities: readonly number[];
  /** By resource: what the streams still growing take for each unit, and what is left of it. */
  readonly #growing: number[] = [];
  readonly #left: number[] = [];

  /** Capacities by resource, in units a nanosecond; the caller may append to them. */
  constructor(capacities: readonly number[]) {
    this.#capacities = capacities;
  }

  /** Writes the rate of each stream, in its units a nanosecond, to `rates`. */
  fill(demands: readonly Demand[], rates: number[]): void {
    this.#begin(demands);
    rates.length = demands.length;
    rates.fill(-1);
    for (let open = demands.length; open > 0; ) {
      const level = this.#fullAt(demands, rates);
      const stopped = this.#stop(demands, rates, level);
      open = stopped === 0 ? 0 : open - stopped;
    }
  }

  #begin(demands: readonly Demand[]): void {
    for (const { resources } of demands) {
      for (const resource of resources) {
        this.#growing[resource] = 0;
        this.#left[resource] = this.#capacities[resource] as number;
      }
    }
    for (const { resources, weights } of demands) {
      for (let index = 0; index < resources.length; index++) {
        add(this.#growing, resources[index] as number, weights[index] as number);
      }
    }
  }

  /** The level at which the first resource is full. */
  #fullAt(demands: readonly Demand[], rates: readonly number[]): number {
    let level = Number.POSITIVE_INFINITY;
    for (let stream = 0; stream < demands.length; stream++) {
      if ((rates[stream] as number) < 0) {
        level = Math.min(level, this.#levelOf(demands[stream] as Demand));
      }
    }
    return level;
  }

  /** The level at which the first resource of a growing stream is full. */
  #levelOf({ resources }: Demand): number {
    let level = Number.POSITIVE_INFINITY;
    for (let index = 0; index < resources.length; index++) {
      const resource = resources[index] as number;
      const growing = this.#growing[resource] as number;
      if (growing > 0) {
        level = Math.min(level, (this.#left[resource] as number) / growing);
      }
    }
    return level;
  }

  /** Ends the growth of the streams that have reached `level`. Returns how many. */
  #stop(demands: readonly Demand[], rates: number[], level: number): number {
    const from: number[] = [];
    for (let stream = 0; stream < demands.length; stream++) {
      const isGrowing = (rates[stream] as number) < 0;
      if (isGrowing && this.#levelOf(demands[stream] as Demand) <= level * (1 + LEVEL_TOLERANCE)) {
        from.push(stream);
      }
    }
    for (const stream of from) {
      rates[stream] = level;
      this.#take(demands[stream] as Demand, level);
    }
    return from.length;
  }

  #take({ resources, weights }: Demand, level: number): void {
    for (let index = 0; index < resources.length; index++) {
      const resource = resources[index] as number;
      const weight = weights[index] as number;
      add(this.#growing, resource, -weight);
      add(this.#left, resource, Number.isFinite(level) ? -weight * level : 0);
    }
  }
}

function add(column: number[], index: number, amount: number): void {
  column[index] = Math.max(0, (column[index] as number) + amount);
}
