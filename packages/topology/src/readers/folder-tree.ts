/**
 * Folder tree: a sysfs tree on disk, either the live /sys of this machine or a copy of one.
 *
 * Reads only regular files that lie within the folder: a link in a copied tree may point anywhere,
 * and opening a pipe would wait for ever.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join, sep } from "node:path";
import { InputError } from "@peerbuf/core";
import { attributeText, type SysfsTree, TREE_FILE_BYTES_MAX } from "./sysfs-tree.ts";

export class FolderTree implements SysfsTree {
  readonly source: string;
  /** Real path of what stands for `sys`, `proc` and `boot` in the tree; a missing one is left out. */
  readonly #roots: ReadonlyMap<string, string>;

  /** Every function is asked for a dozen files in one folder. */
  readonly #realByFolder = new Map<string, string>();

  /** @param roots folders by the name they have in the tree: `sys`, `proc`, `boot` */
  constructor(source: string, roots: Readonly<Record<string, string>>) {
    this.source = source;
    this.#roots = new Map(
      Object.entries(roots).flatMap(([name, folder]) => {
        const real = orUndefined(() => realpathSync(folder));
        return real === undefined ? [] : [[name, real]];
      }),
    );
  }

  text(path: string): string | undefined {
    const bytes = this.bytes(path);
    return bytes === undefined ? undefined : attributeText(bytes);
  }

  bytes(path: string): Uint8Array | undefined {
    const file = this.#locate(path);
    // Not followed: sysfs and /proc hold the wanted files themselves.
    const stat = file === undefined ? undefined : orUndefined(() => lstatSync(file));
    if (file === undefined || stat === undefined || !stat.isFile()) {
      return undefined;
    }
    if (stat.size > TREE_FILE_BYTES_MAX) {
      throw this.#refused(
        path,
        `the file has ${stat.size} bytes, at most ${TREE_FILE_BYTES_MAX} are read`,
      );
    }
    // A driver may refuse a read (a sleeping device, no permission): then the fact is not known.
    return orUndefined(() => new Uint8Array(readFileSync(file)));
  }

  link(path: string): string | undefined {
    const file = this.#locate(path);
    return file === undefined ? undefined : orUndefined(() => readlinkSync(file));
  }

  list(path: string): readonly string[] {
    const folder = this.#realFolder(path);
    return folder === undefined ? [] : (orUndefined(() => readdirSync(folder)) ?? []).sort();
  }

  /** Where a file or link is, if it is: its folder's real place, and its own name. */
  #locate(path: string): string | undefined {
    const slash = path.lastIndexOf("/");
    const folder = this.#realFolder(path.slice(0, slash));
    return folder === undefined ? undefined : join(folder, path.slice(slash + 1));
  }

  /** The real place of a folder, undefined when there is none. @throws InputError when it is outside. */
  #realFolder(path: string): string | undefined {
    const known = this.#realByFolder.get(path);
    if (known !== undefined) {
      return known;
    }
    const [top = "", ...rest] = path.split("/");
    const root = this.#roots.get(top);
    const real =
      root === undefined ? undefined : orUndefined(() => realpathSync(join(root, ...rest)));
    if (root === undefined || real === undefined) {
      return undefined;
    }
    if (real !== root && !real.startsWith(root + sep)) {
      throw this.#refused(path, `it leads to ${real}, outside of the capture`);
    }
    this.#realByFolder.set(path, real);
    return real;
  }

  #refused(place: string, cause: string): InputError {
    return new InputError({
      source: this.source,
      place,
      cause,
      remedy: "Copy /sys with its links kept as links, or name a capture made by peerbuf",
    });
  }
}

/** A file system that says no means "not there" here; what is missing is reported where it is needed. */
function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && "code" in error) {
      return undefined;
    }
    throw error;
  }
}
