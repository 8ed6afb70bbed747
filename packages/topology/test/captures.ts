/**
 * Captures: the machines under `test/fixtures/captures`, each with the real kernel's own answers.
 *
 * Every one was booted with Linux 6.12.117, which was asked for its P2PDMA verdict on every pair.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PathType } from "@peerbuf/core";

const ROOT = fileURLToPath(new URL("../../../test/fixtures/captures", import.meta.url));

export const CAPTURES: readonly string[] = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();
export const captureFolder = (name: string): string => join(ROOT, name);
export const CAPTURES_WITH_TAR: readonly string[] = CAPTURES.filter((name) =>
  existsSync(join(ROOT, name, "sysfs.tar.gz")),
);

export interface KernelVerdict {
  readonly provider: string;
  readonly client: string;
  readonly type: PathType;
  readonly distance: number;
}

/** What the kernel held on the way to its verdicts. */
export interface KernelFacts {
  readonly cpu_supports_p2pdma: boolean;
  readonly host_bridges: readonly {
    readonly bus: string;
    readonly host_bridge_dev: string | null;
    readonly whitelisted_same: boolean;
    readonly whitelisted_other: boolean;
  }[];
  readonly devices: readonly {
    readonly bdf: string;
    readonly header_type: number;
    readonly pcie_type: number;
    readonly acs_cap_offset: number;
    readonly acs_cap: number;
    readonly acs_ctrl: number;
    readonly upstream: string | null;
    readonly virtfn: boolean;
  }[];
}

export interface SysfsJson {
  files: Record<string, string>;
  links: Record<string, string>;
  binary: Record<string, { length: number; hex: string }>;
}

const read = (name: string, file: string): unknown =>
  JSON.parse(readFileSync(join(ROOT, name, file), "utf8"));

export const kernelVerdicts = (name: string): KernelVerdict[] =>
  read(name, "verdicts.json") as KernelVerdict[];
export const kernelFacts = (name: string): KernelFacts => read(name, "facts.json") as KernelFacts;
export const sysfsJson = (name: string): SysfsJson => read(name, "sysfs.json") as SysfsJson;
export const sysfsText = (name: string): string =>
  readFileSync(join(ROOT, name, "sysfs.json"), "utf8");
