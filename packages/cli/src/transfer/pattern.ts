/**
 * Pattern: bytes from a seed, different in every place, so that a page that went astray is noticed.
 */

/** xorshift32 (Marsaglia, 2003): fast, and good enough to make every page unlike the others. */
export function patternBytes(seed: number, lengthBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  // Zero is the one state that never changes; an odd multiplier keeps all other seeds apart.
  let state = Math.imul(seed, 0x9e3779b1) || 0x6d2b79f5;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}
