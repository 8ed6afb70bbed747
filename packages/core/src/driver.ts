/**
 * Drivers: the shape check that every plugin passes once, when it is defined.
 *
 * Drivers come from other people's packages and may be plain JavaScript, so the types alone do not
 * protect us. After this check core calls them without looking again.
 */
import { PeerbufError } from "./error.ts";
import type { ExporterDriver } from "./exporter.ts";
import type { ImporterDriver } from "./importer.ts";

/** Checks and freezes an exporter driver. `DRIVER_BROKEN` names what is missing. */
export function defineExporter<Options = undefined, Api = object>(
  driver: Omit<ExporterDriver<Options, Api>, "role">,
): ExporterDriver<Options, Api> {
  checkShape(driver, "exporter");
  return Object.freeze({ ...driver, role: "exporter" as const });
}

/** Checks and freezes an importer driver. `DRIVER_BROKEN` names what is missing. */
export function defineImporter<Options = undefined, Api = object>(
  driver: Omit<ImporterDriver<Options, Api>, "role">,
): ImporterDriver<Options, Api> {
  checkShape(driver, "importer");
  return Object.freeze({ ...driver, role: "importer" as const });
}

function checkShape(driver: unknown, role: string): void {
  const shape = driver as { name?: unknown; open?: unknown; needsDevice?: unknown } | null;
  if (typeof shape?.name !== "string" || !/^[a-z][a-z0-9-]*$/.test(shape.name)) {
    throw new PeerbufError(
      "DRIVER_BROKEN",
      `an ${role} driver needs a name of letters, digits and dashes`,
    );
  }
  if (typeof shape.open !== "function" || typeof shape.needsDevice !== "boolean") {
    throw new PeerbufError("DRIVER_BROKEN", `${role} "${shape.name}" needs open() and needsDevice`);
  }
}

/** A refusal stays as it is; anything else a driver throws becomes `DRIVER_BROKEN` with the drivers involved. */
export function asDriverFault(error: unknown, ...drivers: string[]): PeerbufError {
  if (error instanceof PeerbufError) {
    return error;
  }
  const what = error instanceof Error ? error.message : String(error);
  return new PeerbufError("DRIVER_BROKEN", `${drivers.join(" or ")} threw: ${what}`, {
    cause: error,
  });
}
