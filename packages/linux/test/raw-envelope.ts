/**
 * Raw envelope: the bytes of a message, true or not: written here by hand, so that the tests say what is on the wire.
 */

export interface RawItem {
  readonly name: string | Uint8Array;
  readonly sizeBytes: number;
}

/** What is said of the message, where it is not what is in it. */
export interface RawHead {
  readonly protocol?: number;
  readonly count?: number;
  readonly nameBytes?: number;
}

/** `text` is the JSON of the value; empty for null. */
export function rawEnvelope(
  items: readonly RawItem[],
  text = "",
  { protocol = 0x0002_4250, count = items.length, nameBytes }: RawHead = {},
): Uint8Array {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(protocol, 0);
  head.writeUInt32LE(count, 4);
  const parts = items.flatMap(({ name, sizeBytes }) => {
    const bytes = Buffer.from(name as string);
    const item = Buffer.alloc(10);
    item.writeDoubleLE(sizeBytes, 0);
    item.writeUInt16LE(nameBytes ?? bytes.length, 8);
    return [item, bytes];
  });
  return Buffer.concat([head, ...parts, Buffer.from(text)]);
}
