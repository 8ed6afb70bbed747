/** Columns: rows of cells as aligned lines, without borders. Colours count for nothing. */
import Table from "cli-table3";

const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

export interface ColumnsOptions {
  readonly indent?: number;
  /** Widths by column; longer cells are wrapped at words. Left out: as wide as the widest cell. */
  readonly widths?: readonly (number | null)[];
}

export function columns(
  rows: readonly (readonly string[])[],
  { indent = 0, widths = [] }: ColumnsOptions = {},
): string[] {
  if (rows.length === 0) {
    return [];
  }
  const table = new Table({
    chars: NO_BORDERS,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colWidths: [...widths],
    wordWrap: true,
  });
  table.push(...rows.map((row) => [...row]));
  const margin = " ".repeat(indent);
  return table
    .toString()
    .split("\n")
    .map((line) => `${margin}${line}`.trimEnd());
}
