/**
 * Carry: takes the bytes of one piece of a request between the requester and whatever answers.
 */
import type { BarModel } from "./device-model.ts";
import { readRegisters, writeRegisters } from "./register-access.ts";
import type { AccessKind } from "./root-complex.ts";
import type { Route } from "./route.ts";
import { SparseMemory } from "./sparse-memory.ts";

/** Bytes on the requester's side: an array, or a device's own memory. */
export type Bytes = Uint8Array | SparseMemory;

/** False: nothing answers there, or what does refuses it. */
export function carryRead(
  { bank, slot }: Route,
  physical: number,
  target: Bytes,
  targetOffset: number,
  lengthBytes: number,
): boolean {
  if (bank !== undefined) {
    readMemory(bank.memory, physical - bank.start, target, targetOffset, lengthBytes);
    return true;
  }
  const model = slot?.model;
  if (slot === undefined || model === undefined) {
    return false;
  }
  if (aborts(model, physical - slot.start, lengthBytes, "read")) {
    return false;
  }
  readModel(model, physical - slot.start, target, targetOffset, lengthBytes);
  return true;
}

/** False: nothing answers there, or what does refuses it. */
export function carryWrite(
  { bank, slot }: Route,
  physical: number,
  source: Bytes,
  sourceOffset: number,
  lengthBytes: number,
): boolean {
  if (bank !== undefined) {
    writeMemory(bank.memory, physical - bank.start, source, sourceOffset, lengthBytes);
    return true;
  }
  const model = slot?.model;
  if (slot === undefined || model === undefined) {
    return false;
  }
  if (aborts(model, physical - slot.start, lengthBytes, "write")) {
    return false;
  }
  writeModel(model, physical - slot.start, source, sourceOffset, lengthBytes);
  return true;
}

const aborts = (model: BarModel, offset: number, lengthBytes: number, kind: AccessKind): boolean =>
  model.accepts?.(offset, lengthBytes, kind) === false;

/** What a read that reaches nothing brings. */
export function fillOnes(target: Bytes, offset: number, lengthBytes: number): void {
  // `fill` takes a length on a memory and an end on an array.
  target.fill(0xff, offset, target instanceof SparseMemory ? lengthBytes : offset + lengthBytes);
}

/** The bytes in an array of their own. */
export function copyOf(source: Bytes, offset: number, lengthBytes: number): Uint8Array {
  if (!(source instanceof SparseMemory)) {
    return source.slice(offset, offset + lengthBytes);
  }
  const bytes = new Uint8Array(lengthBytes);
  source.read(offset, bytes);
  return bytes;
}

function readModel(
  model: BarModel,
  offset: number,
  target: Bytes,
  targetOffset: number,
  lengthBytes: number,
): void {
  if (model.kind === "memory") {
    readMemory(model.memory, model.base + offset, target, targetOffset, lengthBytes);
  } else if (target instanceof SparseMemory) {
    const bytes = new Uint8Array(lengthBytes);
    readRegisters(model, offset, bytes, 0, lengthBytes);
    target.write(targetOffset, bytes);
  } else {
    readRegisters(model, offset, target, targetOffset, lengthBytes);
  }
}

function writeModel(
  model: BarModel,
  offset: number,
  source: Bytes,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (model.kind === "memory") {
    writeMemory(model.memory, model.base + offset, source, sourceOffset, lengthBytes);
  } else if (source instanceof SparseMemory) {
    writeRegisters(model, offset, copyOf(source, sourceOffset, lengthBytes), 0, lengthBytes);
  } else {
    writeRegisters(model, offset, source, sourceOffset, lengthBytes);
  }
}

function readMemory(
  memory: SparseMemory,
  offset: number,
  target: Bytes,
  targetOffset: number,
  lengthBytes: number,
): void {
  if (target instanceof SparseMemory) {
    memory.copyTo(offset, target, targetOffset, lengthBytes);
  } else {
    memory.read(offset, target, targetOffset, lengthBytes);
  }
}

function writeMemory(
  memory: SparseMemory,
  offset: number,
  source: Bytes,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (source instanceof SparseMemory) {
    source.copyTo(sourceOffset, memory, offset, lengthBytes);
  } else {
    memory.write(offset, source, sourceOffset, lengthBytes);
  }
}
