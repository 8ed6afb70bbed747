/**
 * Command line: the words of a Linux command line, and what the kernel takes from `pci=`.
 *
 * Words are split at blanks outside double quotes (lib/cmdline.c, next_arg). `pci=` is an early parameter:
 * each occurrence is read, and its value is split at *every comma* before any option sees it (drivers/pci/pci.c,
 * pci_setup). So a list inside a pci option can only be separated by semicolons, whatever its own parser
 * accepts, and of an option given twice the last one counts.
 */

/** x86 COMMAND_LINE_SIZE; the last byte is the terminating zero. */
export const COMMAND_LINE_BYTES_MAX = 2047;

/** One word, `name` or `name=value`. Quotes around a value are taken off. */
export interface KernelWord {
  readonly name: string;
  readonly value?: string;
}

export function parseCommandLine(text: string): KernelWord[] {
  const words = text.trim().match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
  return words.map((word) => {
    const plain = word.replaceAll('"', "");
    const equals = plain.indexOf("=");
    return equals < 0
      ? { name: plain }
      : { name: plain.slice(0, equals), value: plain.slice(equals + 1) };
  });
}

/** The kernel takes `-` and `_` in parameter names for the same. */
export const isNamed = (word: KernelWord, name: string): boolean =>
  word.name.replaceAll("-", "_") === name;

/** Options of all `pci=` words, in order, as the kernel splits them; empty ones left out. */
export const pciOptions = (words: readonly KernelWord[]): string[] =>
  words
    .filter(({ name }) => name === "pci")
    .flatMap(({ value = "" }) => value.split(","))
    .filter((option) => option !== "");

/** Value of the pci option that counts, undefined when it is not given. */
export function pciOption(words: readonly KernelWord[], name: string): string | undefined {
  const last = pciOptions(words).findLast((option) => option.startsWith(`${name}=`));
  return last?.slice(name.length + 1);
}
