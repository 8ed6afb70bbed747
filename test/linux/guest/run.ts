/**
 * Run: what every guest run needs to know: the repository, a place for generated files, the command.
 */
import { fileURLToPath } from "node:url";

/** The repository's root, without a slash at the end. */
export const TREE: string = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

/** Generated files: kernels, images, drives. */
export const CACHE: string = `${TREE}/node_modules/.cache/peerbuf-guest`;

/** Wall time that one guest may take. Idle machines need a tenth of it; emulation on a busy one is slow. */
export const GUEST_LIMIT_MS = 1_200_000;

/** Runs the guest tests of one folder, or those that PEERBUF_GUEST_TESTS names, to be given to the guest's shell. */
export const vitestIn = (folder: string): string =>
  [
    `CI=true node node_modules/vitest/vitest.mjs run ${process.env["PEERBUF_GUEST_TESTS"] ?? folder}`,
    "--config test/linux/vitest.guest.config.ts --configLoader runner --root . --no-color",
  ].join(" ");
