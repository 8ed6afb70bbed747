/**
 * Device slot: one captured function with the model that was placed behind it.
 */
import { InputError } from "@peerbuf/core";
import type { BarSlot } from "./bar-slot.ts";
import { Containment } from "./containment/containment.ts";
import type { FailureLog } from "./containment/failure-log.ts";
import type { BarModel, DeviceModel } from "./device-model.ts";
import { type FabricPort, SocketPort } from "./port.ts";

export class DeviceSlot {
  /** The model, contained: what it throws is its own end. */
  readonly model: Containment;
  /** The link itself, whatever is plugged in before it. */
  readonly link: FabricPort;
  readonly socket: SocketPort;

  /**
   * Connects the model to the function's BARs. `InputError` when they do not fit, `DEVICE_FAILED` when it throws
   * anything else; nothing is placed then.
   */
  constructor(
    model: DeviceModel,
    link: FabricPort,
    bars: readonly BarSlot[],
    failures: FailureLog,
  ) {
    this.model = new Containment(model, link.bdf, failures);
    this.link = link;
    this.socket = new SocketPort(link, this.model);
    const models = this.model.connect(
      this.socket,
      bars.map(({ index, sizeBytes, prefetchable }) => ({ index, sizeBytes, prefetchable })),
    );
    for (const [index, answer] of models) {
      checkFit(link.bdf, model, bars, index, answer);
    }
    for (const bar of bars) {
      bar.model = models.get(bar.index);
    }
  }
}

function checkFit(
  bdf: string,
  model: DeviceModel,
  bars: readonly BarSlot[],
  index: number,
  answer: BarModel,
): void {
  const bar = bars.find((candidate) => candidate.index === index);
  const problem =
    bar === undefined
      ? `it has no memory BAR${index}`
      : answer.kind === "memory" && answer.base + bar.sizeBytes > answer.memory.sizeBytes
        ? `BAR${index} of ${bar.sizeBytes} bytes reaches beyond the model's ${answer.memory.sizeBytes} bytes`
        : undefined;
  if (problem !== undefined) {
    throw new InputError({
      source: bdf,
      cause: `the ${model.name} model does not fit this function: ${problem}`,
      remedy: "Place the model on a function with other BARs",
    });
  }
}
