/** Wrap: breaks text into lines at spaces. Escape sequences of colours take no room. */

const ESCAPE = String.fromCharCode(27);
const COLOUR = new RegExp(`${ESCAPE}\\[\\d+m`, "g");

/** Characters that a person sees. */
export const visibleLength = (text: string): number => text.replace(COLOUR, "").length;

/** At least one line; a word longer than `width` stands on a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && visibleLength(line) + 1 + visibleLength(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
