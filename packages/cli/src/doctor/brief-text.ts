/** Brief text: as many sentences of a text as are read at a glance; `--all` has the rest. */
import { oneLine } from "../report-error.ts";

/** Characters; the first sentence is kept whole up to here and cut above. */
const BRIEF_CHARACTERS = 230;

export function briefly(text: string): string {
  const [first = "", ...sentences] = oneLine(text).split(/(?<=[.?!]) (?=[A-Z])/);
  let brief = first;
  for (const sentence of sentences) {
    if (brief.length + 1 + sentence.length > BRIEF_CHARACTERS) {
      break;
    }
    brief = `${brief} ${sentence}`;
  }
  return brief.length <= BRIEF_CHARACTERS ? brief : `${brief.slice(0, BRIEF_CHARACTERS - 1)}…`;
}
