/**
 * Text width: how much room a line takes in the pictures' font, without drawing it.
 *
 * The figures are Inter's own advance widths (regular; the semibold is 2 % wider). A viewer without Inter
 * uses another sans serif, which is about as wide.
 */

/** Hundredths of the font size, for U+0020 to U+007E. */
const ADVANCES: readonly number[] = [
  28, 29, 47, 63, 64, 98, 64, 30, 36, 36, 50, 66, 29, 46, 29, 36, 63, 41, 61, 62, 65, 59, 62, 57,
  62, 62, 29, 30, 66, 66, 66, 51, 97, 69, 65, 73, 72, 60, 59, 75, 74, 27, 57, 67, 57, 90, 75, 76,
  64, 76, 64, 64, 65, 74, 69, 99, 68, 68, 63, 36, 36, 36, 47, 46, 32, 56, 61, 57, 61, 58, 37, 61,
  59, 24, 24, 55, 24, 88, 59, 60, 61, 61, 38, 53, 33, 59, 56, 82, 55, 56, 55, 43, 33, 43, 66,
];
const FIRST = 0x20;
/** For every other character. */
const ADVANCE_OTHER = 66;
const SAFETY = 1.03;

/** Pixels. */
export function textWidth(text: string, sizePx: number): number {
  let sum = 0;
  for (const character of text) {
    sum += ADVANCES[(character.codePointAt(0) as number) - FIRST] ?? ADVANCE_OTHER;
  }
  return (sum / 100) * sizePx * SAFETY;
}
