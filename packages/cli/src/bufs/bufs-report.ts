/**
 * Bufs report: a survey of dma-bufs as a table for people, with totals and with what could not be seen.
 *
 * Names of buffers and processes are anybody's choice: they are shown as JSON would write them, so that
 * none of them moves a terminal's cursor.
 */
import type { Holder, Survey, SurveyedBuffer } from "@peerbuf/linux";
import { columns } from "../columns.ts";
import type { Paint } from "../paint.ts";
import { oneLine } from "../report-error.ts";
import { formatSize } from "../scenario/size.ts";
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";

/** Holders named in a row, and processes in the totals; the rest is counted. */
const NAMED_MAX = 4;
/** What is not known. */
const UNKNOWN = "?";
const NONE = "-";

const TITLES = ["size", "exporter", "name", "inode", "devices", "pending fences", "held by"];

export function bufsLines(
  { paint, io }: Session,
  survey: Survey,
  first: Survey = survey,
): string[] {
  const { buffers, blindSpots } = survey;
  const lines = [headline(survey, first, paint)];
  if (buffers.length > 0) {
    const rows = [TITLES.map(paint.faint), ...buffers.map((buffer) => rowOf(buffer, paint))];
    lines.push("", ...columns(rows), "", ...totalLines(survey, paint));
  }
  if (blindSpots.length > 0) {
    lines.push("");
  }
  for (const { what, cause, remedy } of blindSpots) {
    const text = `Not seen: ${what}; ${cause}. To see it: ${remedy}.`;
    lines.push(...wrap(text, io.stdout.columns).map(paint.fair));
  }
  return lines;
}

function headline(
  { buffers, totalBytes, processes, blindSpots }: Survey,
  first: Survey,
  paint: Paint,
): string {
  if (buffers.length === 0) {
    const place = blindSpots.length === 0 ? "on this machine" : "to be seen here";
    return paint.strong(`There are no dma-bufs ${place}.`);
  }
  const waiting = buffers.filter(({ fences = [] }) => fences.length > 0).length;
  const parts = [
    plural(buffers.length, "dma-buf"),
    formatSize(totalBytes),
    `held by ${plural(processes.length, "process", "processes")}`,
    ...(waiting === 0 ? [] : [`${waiting} with pending fences`]),
  ];
  return `${paint.strong(parts.join(", "))}${changeText(buffers.length, totalBytes, first)}`;
}

/** What came or went since the first look. */
function changeText(bufferCount: number, totalBytes: number, first: Survey): string {
  const buffers = bufferCount - first.buffers.length;
  const bytes = totalBytes - first.totalBytes;
  if (buffers === 0 && bytes === 0) {
    return "";
  }
  const signed = (value: number, text: string): string => `${value < 0 ? "-" : "+"}${text}`;
  const bytesText = signed(bytes, formatSize(Math.abs(bytes)));
  return ` (${signed(buffers, String(Math.abs(buffers)))} and ${bytesText} since the first look)`;
}

function rowOf(buffer: SurveyedBuffer, paint: Paint): string[] {
  const { sizeBytes, exporter, name, inode, devices, fences } = buffer;
  return [
    sizeBytes === undefined ? UNKNOWN : formatSize(sizeBytes),
    oneLine(exporter ?? UNKNOWN),
    name === "" ? NONE : paint.name(oneLine(name)),
    String(inode),
    listed(devices?.map(oneLine)),
    listed(fences?.map(({ use, driver }) => paint.fair(`${use} ${oneLine(driver)}`))),
    heldBy(buffer),
  ];
}

const listed = (texts: readonly string[] | undefined): string =>
  texts === undefined ? UNKNOWN : counted(texts).join(", ") || NONE;

/** Equal ones once, with their number. */
function counted(texts: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => (count === 1 ? text : `${text} (${count})`));
}

function heldBy({ holders, otherReferenceCount = 0 }: SurveyedBuffer): string {
  const texts = holders.slice(0, NAMED_MAX).map(holderText);
  if (holders.length > NAMED_MAX) {
    texts.push(`${holders.length - NAMED_MAX} more`);
  }
  if (otherReferenceCount > 0) {
    texts.push(`${otherReferenceCount} in the kernel or unseen`);
  }
  return texts.join("; ") || UNKNOWN;
}

function holderText({ pid, command, descriptors, mappingCount }: Holder): string {
  const fds = descriptors.slice(0, NAMED_MAX).join(",");
  const more = descriptors.length > NAMED_MAX ? `,… (${descriptors.length})` : "";
  const ways = [
    ...(descriptors.length === 0 ? [] : [`fd ${fds}${more}`]),
    ...(mappingCount === 0 ? [] : [mappingCount === 1 ? "mapped" : `mapped ${mappingCount} times`]),
  ];
  return `${processText(pid, command)} ${ways.join(", ")}`;
}

const processText = (pid: number, command: string): string =>
  `${oneLine(command) || UNKNOWN}[${pid}]`;

function totalLines({ exporters, processes }: Survey, paint: Paint): string[] {
  const row = (kind: string, name: string, buffers: number, bytes: number): string[] => [
    paint.faint(kind),
    name,
    plural(buffers, "buffer"),
    formatSize(bytes),
  ];
  const shown = processes.slice(0, NAMED_MAX);
  const lines = columns([
    ...exporters.map(({ exporter, bufferCount, bytes }) =>
      row("exporter", oneLine(exporter ?? UNKNOWN), bufferCount, bytes),
    ),
    ...shown.map(({ pid, command, bufferCount, bytes }) =>
      row("process", processText(pid, command), bufferCount, bytes),
    ),
  ]);
  const hidden = processes.length - shown.length;
  return hidden === 0
    ? lines
    : [...lines, paint.faint(`and ${plural(hidden, "process", "processes")} more`)];
}

const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
