/** Labelled lines: a label, and text beside it that is wrapped and never runs below the label. */
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";

/** Columns that a fact's label takes, with the margin before it. */
const LABEL_COLUMNS = 9;
const MARGIN_COLUMNS = 3;
export const TEXT_START: number = LABEL_COLUMNS + MARGIN_COLUMNS;
const LINE_COLUMNS_MAX = 110;

/** `   where    12:03.0`. */
export const item = (session: Session, label: string, text: string): string[] =>
  entry(session, label, text, LABEL_COLUMNS, MARGIN_COLUMNS);

export function entry(
  { paint, io }: Session,
  label: string,
  text: string,
  labelColumns: number,
  indent = 0,
): string[] {
  const margin = indent + labelColumns;
  const width = Math.max(40, Math.min(io.stdout.columns, LINE_COLUMNS_MAX) - margin);
  return wrap(text, width).map((line, index) => {
    const left = index === 0 ? paint.faint(label.padEnd(labelColumns)) : " ".repeat(labelColumns);
    return `${" ".repeat(indent)}${left}${line}`.trimEnd();
  });
}
