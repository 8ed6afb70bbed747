/**
 * Totals: what the buffers of a survey come to, for each process and each exporter.
 */
import type { SurveyedBuffer } from "./survey.ts";

/** What a process holds; a buffer that several hold counts in full for each. */
export interface ProcessTotal {
  readonly pid: number;
  readonly command: string;
  readonly bufferCount: number;
  /** Of the buffers whose size is known. */
  readonly bytes: number;
}

export interface ExporterTotal {
  /** Undefined: the buffers of which it is not known. */
  readonly exporter: string | undefined;
  readonly bufferCount: number;
  /** Of the buffers whose size is known. */
  readonly bytes: number;
}

/** Each list has the largest first. */
export interface Totals {
  readonly totalBytes: number;
  readonly processes: readonly ProcessTotal[];
  readonly exporters: readonly ExporterTotal[];
}

export function totalsOf(buffers: readonly SurveyedBuffer[]): Totals {
  const processes = new Map<number, ProcessTotal>();
  const exporters = new Map<string | undefined, ExporterTotal>();
  let totalBytes = 0;
  for (const { exporter, sizeBytes = 0, holders } of buffers) {
    totalBytes += sizeBytes;
    const made = exporters.get(exporter) ?? { exporter, bufferCount: 0, bytes: 0 };
    exporters.set(exporter, plus(made, sizeBytes));
    for (const { pid, command } of holders) {
      const held = processes.get(pid) ?? { pid, command, bufferCount: 0, bytes: 0 };
      processes.set(pid, plus(held, sizeBytes));
    }
  }
  return {
    totalBytes,
    processes: largestFirst(processes.values()),
    exporters: largestFirst(exporters.values()),
  };
}

const plus = <T extends { readonly bufferCount: number; readonly bytes: number }>(
  total: T,
  sizeBytes: number,
): T => ({ ...total, bufferCount: total.bufferCount + 1, bytes: total.bytes + sizeBytes });

const largestFirst = <T extends { readonly bytes: number }>(totals: Iterable<T>): T[] =>
  [...totals].sort((one, other) => other.bytes - one.bytes);
