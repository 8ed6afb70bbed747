/**
 * TLP header: the header of a memory request as a header log shows it (PCIe base specification 5.0, 2.2.7.1).
 *
 * Of the first packet: a request of many bytes is cut at Max Payload Size or Max Read Request Size, as
 * captured for the function or else 128 and 512 bytes. Tags are not modelled and are 0.
 */
import { CAPABILITY_PCI_EXPRESS, findCapability, type Topology } from "@peerbuf/topology";
import type { LostRequest } from "./loss-report.ts";
import { CPU, type Requester } from "./requester.ts";

const DEVICE_CONTROL = 0x08;
const PAYLOAD_BYTES = 128;
const READ_BYTES = 512;
const PAGE_BYTES = 4096;
const WRITE = 0x40;
const FOUR_DOUBLE_WORDS = 0x20;
const TWO_32 = 2 ** 32;

/** Four double words; the last is 0 for an address below 4 GiB. */
export function headerOf(topology: Topology, request: LostRequest): readonly number[] {
  const { requester, address, kind } = request;
  const lengthBytes = firstPacketBytes(topology, request);
  const first = address - (address % 4);
  const doubleWords = Math.ceil((address + lengthBytes - first) / 4);
  const isWide = address >= TWO_32;
  const format = (kind === "write" ? WRITE : 0) | (isWide ? FOUR_DOUBLE_WORDS : 0);
  const low = first % TWO_32;
  return [
    ((format << 24) | attributeBits(requester) | (doubleWords & 0x3ff)) >>> 0,
    ((requesterId(requester) << 16) | byteEnables(address, lengthBytes, doubleWords)) >>> 0,
    isWide ? Math.floor(first / TWO_32) % TWO_32 : low,
    isWide ? low : 0,
  ];
}

/** ID-based ordering, relaxed ordering, no snoop, address type. */
const attributeBits = ({ attributes }: Requester): number =>
  (attributes.idOrdering ? 0x4_0000 : 0) |
  (attributes.relaxedOrdering ? 0x2000 : 0) |
  (attributes.noSnoop ? 0x1000 : 0) |
  (attributes.translated ? 0x800 : 0);

/** The root complex issues what the processors ask for, as 00:00.0. */
const requesterId = ({ row, bus, devfn }: Requester): number =>
  row === CPU ? 0 : (bus << 8) | devfn;

/** Of the last double word (0 when there is one only) and of the first. */
function byteEnables(address: number, lengthBytes: number, doubleWords: number): number {
  const skipped = address % 4;
  const left = (address + lengthBytes) % 4;
  const first = (0xf << skipped) & 0xf;
  const last = left === 0 ? 0xf : (1 << left) - 1;
  return doubleWords === 1 ? first & last : (last << 4) | first;
}

/** A packet does not cross a page, nor carry more than the function may send or ask for. */
function firstPacketBytes(topology: Topology, request: LostRequest): number {
  const { requester, address, kind, lengthBytes } = request;
  const config = requester.row < 0 ? undefined : topology.configOf(requester.row);
  const express = config === undefined ? 0 : findCapability(config, CAPABILITY_PCI_EXPRESS);
  const low = config?.[express + DEVICE_CONTROL];
  const high = config?.[express + DEVICE_CONTROL + 1];
  const captured = express > 0 && low !== undefined && high !== undefined;
  const payloadBytes = captured ? 128 << ((low >> 5) & 7) : PAYLOAD_BYTES;
  const readBytes = captured ? 128 << ((high >> 4) & 7) : READ_BYTES;
  const limit = kind === "write" ? payloadBytes : readBytes;
  return Math.min(lengthBytes, limit, PAGE_BYTES - (address % PAGE_BYTES));
}
