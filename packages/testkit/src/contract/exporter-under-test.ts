/**
 * Exporter under test: a driver that is opened on a fresh world for each check, and what every check does with it.
 */
import {
  type Attachment,
  type DmaBuf,
  type ExporterDriver,
  type Mapping,
  type OpenedExporter,
  PeerbufError,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { ContractCheck } from "./contract.ts";
import type { OpenWorld } from "./contract-world.ts";
import type { ExporterCheck } from "./driver-check.ts";
import { NotClaimed, type Session, type SessionOptions, sessionCheck } from "./session.ts";

const PAGE_BYTES = 4096;
/** Large enough to have an inside and a last page. */
export const BUFFER_BYTES: number = 4 * PAGE_BYTES;

/** Buffers that are asked for before memory counts as plenty. */
const BUFFERS_MAX = 64;

/** What a suite about one exporter driver knows. */
export interface ExporterUnderTest<Options, Api> {
  readonly driver: ExporterDriver<Options, Api>;
  readonly check: ExporterCheck<Options, Api>;
  readonly open: OpenWorld;
}

/** A check with the exporter open. */
export function exporterCheck<Options, Api>(
  { driver, check, open }: ExporterUnderTest<Options, Api>,
  name: string,
  rules: readonly RuleId[],
  body: (session: Session, exporter: OpenedExporter<Api>) => Promise<void>,
  more: Omit<SessionOptions, "open"> = {},
): ContractCheck {
  return sessionCheck(name, rules, driver.name, { open, ...more }, async (session) => {
    const home = driver.needsDevice ? session.world.home : undefined;
    const exporter = session.framework.openExporter(driver, home, check.options as Options);
    await body(session, exporter);
    await session.inTime(session.framework.idle(), "the end of the last work");
    exporter.close();
  });
}

/** The CPU writes, where the exporter lets it; else the check is not about this driver. */
export async function cpuWrite(session: Session, buffer: DmaBuf, bytes: Uint8Array): Promise<void> {
  try {
    await session.inTime(buffer.write(0, bytes), "a write by the CPU");
  } catch (error) {
    if (error instanceof PeerbufError && error.code === "WRONG_ORDER") {
      buffer.close();
      throw new NotClaimed("this memory is not for the CPU");
    }
    throw error;
  }
}

export async function cpuRead(session: Session, buffer: DmaBuf): Promise<Uint8Array> {
  return await session.inTime(buffer.read(0, buffer.sizeBytes), "a read by the CPU");
}

/** The bytes of a mapping are there. */
export async function arrived(session: Session, { ready }: Mapping): Promise<void> {
  if (ready !== undefined) {
    await session.inTime(ready.signaled(), "the arrival of the bytes");
  }
}

/** Gives back what a check made, in the order in which core wants it. */
export function letGo(buffer: DmaBuf, attachment: Attachment, mapping: Mapping): void {
  mapping.unmap();
  attachment.detach();
  buffer.close();
}

/** Skips what is only true of buffers with memory of their own. */
export function requireOwnMemory<Options, Api>({ check }: ExporterUnderTest<Options, Api>): void {
  if (check.isWindow === true) {
    throw new NotClaimed("its buffers are windows: they show memory that exists without them");
  }
}

/** A buffer, if there is room for one. */
export function allocated<Options, Api>(
  exporter: OpenedExporter<Api>,
  { check }: ExporterUnderTest<Options, Api>,
): DmaBuf | undefined {
  try {
    return exporter.allocate(BUFFER_BYTES, check.wishes ?? {});
  } catch (error) {
    if (error instanceof PeerbufError) {
      return undefined;
    }
    throw error;
  }
}

/** How many buffers there is room for; all are closed again. */
export function roomOf<Options, Api>(
  exporter: OpenedExporter<Api>,
  tested: ExporterUnderTest<Options, Api>,
): number {
  const buffers: DmaBuf[] = [];
  while (buffers.length < BUFFERS_MAX) {
    const buffer = allocated(exporter, tested);
    if (buffer === undefined) {
      break;
    }
    buffers.push(buffer);
  }
  for (const buffer of buffers) {
    buffer.close();
  }
  return buffers.length;
}
