/**
 * Hot plug: functions that are enabled, taken out, put back and reset while the machine runs.
 *
 * What belongs to one card is `slot-power.ts`'s business, what a driver does about it the driver's: nobody tells
 * it. It finds its registers reading as all ones and its commands unanswered, as on hardware.
 */
import { PeerbufError } from "@peerbuf/core";
import { CAPABILITY_PCI_EXPRESS, findCapability, type Topology } from "@peerbuf/topology";
import type { DeviceModel } from "./device-model.ts";
import type { Fabric } from "./fabric.ts";

export class HotPlug {
  readonly #fabric: Fabric;
  readonly #modelOf: (row: number) => DeviceModel | undefined;
  /** Drivers that have a function open, by row. */
  readonly #drivers = new Map<number, number>();

  constructor(fabric: Fabric, modelOf: (row: number) => DeviceModel | undefined) {
    this.#fabric = fabric;
    this.#modelOf = modelOf;
  }

  /**
   * A driver opens the function: memory and bus mastering are enabled for it and for all bridges above, as
   * `pci_enable_device()` and `pci_set_master()` do (Linux 6.12). `DEVICE_GONE` when it was taken out.
   */
  enable(row: number): void {
    this.#requirePresent(row);
    const { topology } = this.#fabric;
    const rows = [row];
    for (let at = topology.upstreamOf(row); at >= 0; at = topology.upstreamOf(at)) {
      rows.push(at);
    }
    this.#fabric.setCommand(rows, { memory: true, busMaster: true });
    this.#drivers.set(row, (this.#drivers.get(row) ?? 0) + 1);
  }

  /** A driver closes it: the last one clears Bus Master Enable, as `pci_disable_device()` does. */
  disable(row: number): void {
    const left = (this.#drivers.get(row) ?? 1) - 1;
    if (left > 0) {
      this.#drivers.set(row, left);
      return;
    }
    this.#drivers.delete(row);
    this.#fabric.setCommand([row], { busMaster: false });
  }

  remove(row: number): void {
    const card = this.#cardOf(row);
    const held = card.find((at) => this.#drivers.has(at));
    if (held !== undefined) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `a driver has ${this.#name(held)} open: close it first`,
      );
    }
    this.#powerOff(card);
  }

  surpriseRemove(row: number): void {
    const card = this.#cardOf(row);
    this.#powerOff(card);
    const { topology, errors, power } = this.#fabric;
    const port = power.portOf(row);
    if (port >= 0 && reportsSurpriseDown(topology, port)) {
      errors.detect(port, "SURPRISE_DOWN", false);
    }
  }

  insert(row: number): void {
    const { power, errors } = this.#fabric;
    if (power.isPresent(row)) {
      throw new PeerbufError("WRONG_ORDER", `${this.#name(row)} is not out`);
    }
    const port = power.portOf(row);
    if (port >= 0 && !power.isPresent(port)) {
      const text = `${this.#name(row)} has no slot: ${this.#name(port)} above it is out`;
      throw new PeerbufError("WRONG_ORDER", text);
    }
    const card = power.cardOf(row);
    this.#fabric.setPresent(card, true);
    this.#fabric.setCommand(card, { memory: false, busMaster: false });
    for (const at of card) {
      errors.clear(at);
    }
  }

  reset(row: number): void {
    this.#requirePresent(row);
    const { physicalFunction } = this.#fabric.topology.table;
    const rows = [row];
    physicalFunction.forEach((physical, at) => {
      if (physical === row) {
        rows.push(at);
      }
    });
    this.#fabric.setCommand(rows, { busMaster: false });
    this.#resetModels(rows);
    for (const at of rows) {
      this.#fabric.errors.reset(at);
    }
  }

  #cardOf(row: number): readonly number[] {
    this.#requirePresent(row);
    return this.#fabric.power.cardOf(row);
  }

  #requirePresent(row: number): void {
    if (!this.#fabric.power.isPresent(row)) {
      throw new PeerbufError("DEVICE_GONE", `${this.#name(row)} was taken out`);
    }
  }

  /** First nothing gets in or out any more, then the models lose what they were at. */
  #powerOff(card: readonly number[]): void {
    this.#fabric.setPresent(card, false);
    this.#resetModels(card);
  }

  #resetModels(rows: readonly number[]): void {
    for (const row of rows) {
      this.#modelOf(row)?.reset();
    }
  }

  #name(row: number): string {
    return this.#fabric.topology.bdfOf(row);
  }
}

/** Link capabilities, bit 19 (PCIe base specification 5.0, 7.5.3.6). */
function reportsSurpriseDown(topology: Topology, port: number): boolean {
  const config = topology.configOf(port);
  const express = findCapability(config, CAPABILITY_PCI_EXPRESS);
  return express > 0 && ((config[express + 0x0e] ?? 0) & 0x08) !== 0;
}
