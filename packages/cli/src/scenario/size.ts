/** Size: bytes as people write them, `65536` or `64 KiB`, and as they read them. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;
const SIZE_PATTERN = /^(\d+)\s*(B|KiB|MiB|GiB|TiB)$/;

/** Bytes, or undefined when the text is no size that fits a number exactly. */
export function parseSize(text: string): number | undefined {
  const match = SIZE_PATTERN.exec(text.trim());
  if (match === null) {
    return undefined;
  }
  const unit = UNITS.indexOf(match[2] as (typeof UNITS)[number]);
  const bytes = Number(match[1]) * 1024 ** unit;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** `2 MiB`, `12.5 KiB`: the largest unit that leaves at least 1, with one decimal where it is not whole. */
export function formatSize(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const amount = bytes / 1024 ** power;
  return `${Number.isInteger(amount) ? amount : amount.toFixed(1)} ${UNITS[power]}`;
}
