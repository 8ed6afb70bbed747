/**
 * Memory tree: a sysfs tree that was read in one go, from a JSON file or a tar.
 */
import type { FactName } from "../missing-fact.ts";
import { attributeText, type SysfsTree } from "./sysfs-tree.ts";

export class MemoryTree implements SysfsTree {
  readonly source: string;
  readonly #files = new Map<string, string | Uint8Array>();
  readonly #links = new Map<string, string>();
  readonly #folders = new Map<string, Set<string>>();

  readonly notReadable?: readonly FactName[];

  constructor(source: string, notReadable?: readonly FactName[]) {
    this.source = source;
    if (notReadable !== undefined) {
      this.notReadable = notReadable;
    }
  }

  /** A later file of the same path replaces an earlier one, as in a tar that was appended to. */
  addFile(path: string, content: string | Uint8Array): void {
    this.#files.set(path, content);
    this.#addToFolders(path);
  }

  addLink(path: string, target: string): void {
    this.#links.set(path, target);
    this.#addToFolders(path);
  }

  /** A folder that may be empty: its name is all that is wanted. */
  addFolder(path: string): void {
    this.#addToFolders(path);
  }

  text(path: string): string | undefined {
    const content = this.#files.get(path);
    return content instanceof Uint8Array ? attributeText(content) : content?.trim();
  }

  bytes(path: string): Uint8Array | undefined {
    const content = this.#files.get(path);
    return typeof content === "string" ? new TextEncoder().encode(content) : content;
  }

  link(path: string): string | undefined {
    return this.#links.get(path);
  }

  list(path: string): readonly string[] {
    return [...(this.#folders.get(path) ?? [])].sort();
  }

  #addToFolders(path: string): void {
    let child = path;
    let slash = child.lastIndexOf("/");
    while (slash > 0) {
      const folder = child.slice(0, slash);
      const names = this.#folders.get(folder);
      names?.add(child.slice(slash + 1));
      if (names !== undefined) {
        return;
      }
      this.#folders.set(folder, new Set([child.slice(slash + 1)]));
      child = folder;
      slash = child.lastIndexOf("/");
    }
  }
}
