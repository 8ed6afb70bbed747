/**
 * Check driver: the suite that fits a driver, by its role.
 */
import { type ExporterDriver, type ImporterDriver, PeerbufError } from "@peerbuf/core";
import {
  type Contract,
  type ContractOptions,
  type ContractReport,
  checkContract,
} from "./contract.ts";
import { lightWorld, type OpenWorld } from "./contract-world.ts";
import type { DriverCheck, ImporterCheck } from "./driver-check.ts";
import { exporterContract } from "./exporter-contract.ts";
import { importerContract } from "./importer-contract.ts";

type AnyDriver<Options, Api> = ExporterDriver<Options, Api> | ImporterDriver<Options, Api>;

/** The suite for this driver. `ARGUMENT_INVALID`: an importer whose check does not say how to use it. */
export function contractOf<Options, Api>(
  driver: AnyDriver<Options, Api>,
  check: DriverCheck<Options, Api> = {},
  open: OpenWorld = lightWorld,
): Contract {
  if (driver.role === "exporter") {
    return exporterContract(driver, check, open);
  }
  if (!isImporterCheck(check)) {
    const message = `importer "${driver.name}": a check with start(api, buffer, direction) is needed`;
    throw new PeerbufError("ARGUMENT_INVALID", message);
  }
  return importerContract(driver, check, open);
}

/** Runs the suite for this driver. */
export function checkDriver<Options, Api>(
  driver: AnyDriver<Options, Api>,
  check: DriverCheck<Options, Api> = {},
  options: ContractOptions & { readonly world?: OpenWorld } = {},
): Promise<ContractReport> {
  return checkContract(contractOf(driver, check, options.world), options);
}

const isImporterCheck = <Options, Api>(
  check: DriverCheck<Options, Api>,
): check is ImporterCheck<Options, Api> =>
  typeof (check as { start?: unknown }).start === "function";
