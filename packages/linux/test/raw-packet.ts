/**
 * Raw packet: sends any bytes with any descriptors over a socket, without a look at either: what a peer can
 * do that does not use this package.
 */
import koffi from "koffi";

const library = koffi.load(null);
const sendmsg = library.func("intptr_t sendmsg(int fd, void *msg, int flags)");

/** Returns what sendmsg(2) did: bytes, or -1. */
export function sendRaw(
  socket: { readonly number: number },
  content: Uint8Array | string,
  fds: readonly number[],
): number {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const control = Buffer.alloc(16 + Math.ceil(fds.length / 2) * 8);
  control.writeBigUInt64LE(BigInt(16 + 4 * fds.length), 0);
  control.writeInt32LE(1, 8);
  control.writeInt32LE(1, 12);
  for (const [index, fd] of fds.entries()) {
    control.writeInt32LE(fd, 16 + 4 * index);
  }
  const data = Buffer.concat([bytes, Buffer.alloc(1)]);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(koffi.address(vector), 16);
  header.writeBigUInt64LE(1n, 24);
  if (fds.length > 0) {
    header.writeBigUInt64LE(koffi.address(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
  }
  const sent = sendmsg(socket.number, header, 0x40 | 0x4000) as number;
  // Looked at after the call, so that none of them is collected before it.
  return data.length + vector.length + control.length > 0 ? Number(sent) : -1;
}
