/**
 * Packet cost: how many bytes of a PCIe link a transfer takes besides its own.
 *
 * From the PCI Express base specification 5.0: a memory request has a header of 12 bytes below 4 GiB
 * and of 16 above (2.2.4.1), a completion one of 12 (2.2.9); each packet is framed by 4 bytes of STP
 * token or of sequence number, STP and END symbols, and has 4 bytes of LCRC (3.6.2, 4.2.2.3, 4.2.1.2).
 * What is acknowledged and how often credits are given back is left to the receiver (3.6.3.1).
 *
 * Lengths and addresses in bytes. Nothing here allocates: it is asked for every transfer.
 */

const HEADER_32_BYTES = 12;
const HEADER_64_BYTES = 16;
const COMPLETION_HEADER_BYTES = 12;
/** From here on a request needs the long header. */
const LONG_ADDRESS = 2 ** 32;

/** STP with sequence number, and LCRC; a link in flit mode (64 GT/s) has neither (6.0, 4.2.3). */
export const FRAMING_BYTES = 8;

/**
 * What goes back for each packet: an acknowledgement and a credit update, each a DLLP of 8 bytes
 * (3.5.1), for every fourth packet. The specification allows fewer and more; every fourth is what its
 * acknowledgement limits come to for a wide link (3.6.3.1, table 3-7).
 */
export const RETURN_BYTES_PER_PACKET: number = (2 * 8) / 4;

/** Packets that `lengthBytes` from `address` are cut into: none crosses a multiple of `pieceBytes`. */
export function packetCount(address: number, lengthBytes: number, pieceBytes: number): number {
  return lengthBytes === 0 ? 0 : Math.ceil(((address % pieceBytes) + lengthBytes) / pieceBytes);
}

/** Header of a memory request. */
export const requestHeaderBytes = (address: number): number =>
  address < LONG_ADDRESS ? HEADER_32_BYTES : HEADER_64_BYTES;

export const completionHeaderBytes: number = COMPLETION_HEADER_BYTES;
