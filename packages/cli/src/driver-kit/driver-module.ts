/**
 * Driver module: finds the driver in a file of somebody else's.
 *
 * TypeScript is loaded by jiti, which strips types and resolves as Node does; `.js` and `.mjs` files go to
 * Node itself. `@peerbuf/core`, `machine` and `testkit` are always the ones of this command, so that a driver and its
 * checker mean the same classes. Everything that is wrong with the module is an `InputError` that says what to do.
 */
import { type Stats, statSync } from "node:fs";
import { createRequire } from "node:module";
import { type ExporterDriver, type ImporterDriver, InputError } from "@peerbuf/core";
import type { DeviceModel } from "@peerbuf/machine";
import type { DriverCheck } from "@peerbuf/testkit";
import { createJiti } from "jiti";

export type AnyDriver = ExporterDriver<undefined, object> | ImporterDriver<undefined, object>;

export interface DriverModule {
  readonly driver: AnyDriver;
  readonly check: DriverCheck<undefined, object>;
  /** Of a driver that programs registers: its device. Undefined: the light world will do. */
  readonly machine: DriverMachine | undefined;
}

/** What a module exports as `machine`. */
export interface DriverMachine {
  /** A new model of the device; it finds a register BAR of 64 KiB and a memory BAR of 128 KiB. */
  model(): DeviceModel;
}

/** The export that is looked for when none is named. */
const EXPORT_DEFAULT = "default";

/** @throws InputError for whatever is no driver */
export async function loadDriver(
  path: string,
  exportName: string = EXPORT_DEFAULT,
): Promise<DriverModule> {
  requireFile(path);
  const exported = await importModule(path);
  const found = exported[exportName];
  if (found === undefined) {
    throw noSuchExport(path, exportName, exported);
  }
  return driverIn(path, exportName, found, exported);
}

/** What modules are called; another ending is no module to Node. */
const MODULE_NAME = /\.[cm]?[jt]s$/;

function requireFile(path: string): void {
  const status = statSync(path, { throwIfNoEntry: false });
  const cause = status === undefined ? "there is no such file" : whyNoModule(path, status);
  if (cause !== undefined) {
    throw new InputError({
      source: path,
      cause,
      remedy: "Name the file whose default export is the driver",
    });
  }
}

function whyNoModule(path: string, status: Stats): string | undefined {
  if (status.isDirectory()) {
    return "this is a folder";
  }
  return status.isFile() && MODULE_NAME.test(path) ? undefined : "this is no .ts, .js or .mjs file";
}

async function importModule(path: string): Promise<Record<string, unknown>> {
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    interopDefault: false,
    alias: {
      "@peerbuf/core": ours("@peerbuf/core"),
      "@peerbuf/machine": ours("@peerbuf/machine"),
      "@peerbuf/testkit": ours("@peerbuf/testkit"),
    },
  });
  try {
    return (await jiti.import(path)) as Record<string, unknown>;
  } catch (error) {
    throw unloadable(path, error);
  }
}

const ours = createRequire(import.meta.url).resolve;

function unloadable(path: string, error: unknown): InputError {
  const text = error instanceof Error ? error.message : String(error);
  const [first = "", second = ""] = text.split("\n").map((line) => line.trim());
  const options = { cause: error };
  if (/^Cannot find (module|package)/.test(first)) {
    const remedy = "Install what it imports, beside the driver";
    return new InputError({ source: path, cause: first, remedy }, options);
  }
  if (error instanceof SyntaxError || first.startsWith("ParseError")) {
    const place = /:(\d+):(\d+)$/.exec(second);
    const cause = `it does not parse (${first.replace(/^ParseError: /, "")})`;
    const where = place === null ? {} : { place: `line ${place[1]}, column ${place[2]}` };
    return new InputError({ source: path, ...where, cause, remedy: "Correct the line" }, options);
  }
  const remedy = "A module that is loaded defines its driver and does nothing else";
  const cause = `it throws when it is loaded: ${first}`;
  return new InputError({ source: path, cause, remedy }, options);
}

function noSuchExport(
  path: string,
  exportName: string,
  exported: Readonly<Record<string, unknown>>,
): InputError {
  const names = Object.keys(exported).filter((name) => looksLikeDriver(driverPart(exported[name])));
  const what = exportName === EXPORT_DEFAULT ? "no default export" : `no export "${exportName}"`;
  return new InputError({
    source: path,
    cause: `it has ${what}`,
    remedy:
      names.length === 0
        ? "Export the driver: export default defineExporter({ ... }) or defineImporter({ ... })"
        : `It has drivers under other names: --export ${names.slice(0, 5).join(", --export ")}`,
  });
}

function driverIn(
  path: string,
  exportName: string,
  found: unknown,
  exported: Readonly<Record<string, unknown>>,
): DriverModule {
  const driver = driverPart(found);
  if (!looksLikeDriver(driver)) {
    throw new InputError({
      source: path,
      cause: `its export "${exportName}" is ${nameOf(found)}, not a driver`,
      remedy: "A driver is what defineExporter or defineImporter returns",
    });
  }
  const check = partOf(found, exportName, exported, "check") ?? {};
  if (typeof check !== "object" || check === null) {
    throw new InputError({
      source: path,
      cause: `its "check" is ${nameOf(check)}`,
      remedy: "check is an object with start, move, revoke, ...: see docs/writing-a-driver.md",
    });
  }
  requireStart(path, driver, check);
  const machine = partOf(found, exportName, exported, "machine");
  requireModel(path, machine);
  return {
    driver,
    check: check as DriverModule["check"],
    machine: machine as DriverMachine | undefined,
  };
}

/** Beside the driver, in the object that holds it, or in the module. */
const partOf = (
  found: unknown,
  exportName: string,
  exported: Readonly<Record<string, unknown>>,
  name: string,
): unknown =>
  (found as Readonly<Record<string, unknown>>)[name] ??
  (exportName === EXPORT_DEFAULT ? exported[name] : undefined);

function requireModel(path: string, machine: unknown): void {
  const model = (machine as { readonly model?: unknown } | undefined)?.model;
  if (machine !== undefined && typeof model !== "function") {
    throw new InputError({
      source: path,
      cause: `its "machine" is ${nameOf(machine)} without a way to make a device model`,
      remedy: "Write: export const machine = { model: () => createYourDevice() }",
    });
  }
}

/** Only its author knows how an importer is used. */
function requireStart(path: string, driver: AnyDriver, check: object): void {
  if (driver.role === "importer" && typeof (check as { start?: unknown }).start !== "function") {
    throw new InputError({
      source: path,
      cause: `importer "${driver.name}" comes without a way to use it`,
      remedy:
        "Add: export const check = { start: (api, buffer, direction) => api.yourTransfer(buffer) }",
    });
  }
}

/** A driver by itself, or an object that has it under `driver`. */
const driverPart = (found: unknown): unknown =>
  looksLikeDriver(found) ? found : (found as { readonly driver?: unknown } | null)?.driver;

function looksLikeDriver(found: unknown): found is AnyDriver {
  const { role, name, open } = (found ?? {}) as Partial<Record<keyof AnyDriver, unknown>>;
  return (
    (role === "exporter" || role === "importer") &&
    typeof name === "string" &&
    typeof open === "function"
  );
}

function nameOf(value: unknown): string {
  if (typeof value === "function") {
    return "a function";
  }
  if (value === null || typeof value !== "object") {
    return JSON.stringify(value) ?? "undefined";
  }
  return Array.isArray(value) ? "an array" : "an object";
}
