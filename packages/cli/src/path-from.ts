/**
 * Path from: what a person's relative path means.
 */
import { isAbsolute, join } from "node:path";

/** As the person wrote it where that works, because errors quote it. */
export function pathFrom(folder: string, path: string): string {
  return isAbsolute(path) || folder === process.cwd() ? path : join(folder, path);
}
