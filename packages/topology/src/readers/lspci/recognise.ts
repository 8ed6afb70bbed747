/**
 * Recognise: is this text something that lspci printed?
 *
 * Asked of the first few thousand characters. One line in lspci's form is enough, because people put
 * a prompt, a greeting or an empty line before it.
 */
import { isBuslessSlot, slotOf } from "./header-line.ts";
import { cleanLine } from "./text-lines.ts";
import { isTreeLine } from "./tree-line.ts";

/** What follows the address in any form: a class, by name or number, or the quoted words of `-mm`. */
const CLASS_WORDS = /^(?:[A-Za-z][^"]*?: |[0-9a-f]{4}: [0-9a-f]{4}:|"|Class [0-9a-f]{4}|$)/i;

export function looksLikeLspciText(text: string): boolean {
  return text.split("\n").some((raw) => {
    const line = cleanLine(raw).trimEnd();
    const bare = line.trimStart();
    const slot = slotOf(bare);
    return (
      (slot !== undefined && CLASS_WORDS.test(slot.rest)) ||
      isBuslessSlot(bare) ||
      isTreeLine(line) ||
      /^ACSCtl:\s+SrcValid[+-]/.test(bare) ||
      /^Slot:\s+(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/i.test(bare)
    );
  });
}
