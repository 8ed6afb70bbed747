/**
 * Map cache: which buffers stay mapped between brackets.
 *
 * Mapping costs little, touching fresh pages costs a lot (some 350 ns each), so a buffer stays mapped until
 * the limit is passed; then those not used for longest are unmapped. A buffer with an open bracket never is.
 * The cache keeps nobody alive: a buffer that was forgotten is collected, and its mapping with it.
 */

/** A buffer that may be unmapped. */
export interface Mapped {
  readonly sizeBytes: number;
  readonly isInUse: boolean;
  unmap(): void;
}

interface Entry {
  readonly sizeBytes: number;
  readonly mapped: WeakRef<Mapped>;
}

/** Address space that idle mappings may take unless told otherwise. */
export const MAPPED_BYTES_MAX: number = 2 ** 30;

export class MapCache {
  readonly #limitBytes: number;
  readonly #entryOf = new WeakMap<Mapped, Entry>();
  /** In order of last use. */
  readonly #entries = new Set<Entry>();
  #totalBytes = 0;
  /** The last in the order; brackets of one buffer often follow each other. */
  #latest: Entry | undefined;

  constructor(limitBytes: number = MAPPED_BYTES_MAX) {
    this.#limitBytes = limitBytes;
  }

  /** It is mapped and was used just now. */
  touch(mapped: Mapped): void {
    const entry = this.#entryOf.get(mapped) ?? this.#newEntry(mapped);
    if (entry === this.#latest) {
      return;
    }
    this.#drop(entry);
    this.#latest = entry;
    this.#entries.add(entry);
    this.#totalBytes += entry.sizeBytes;
  }

  /** It is mapped no more, or will not be in a moment. */
  forget(mapped: Mapped): void {
    const entry = this.#entryOf.get(mapped);
    if (entry !== undefined) {
      this.#drop(entry);
    }
  }

  /** Unmaps the longest unused until the limit is kept, as far as none of them is in use. */
  trim(): void {
    if (this.#totalBytes <= this.#limitBytes) {
      return;
    }
    for (const entry of this.#entries) {
      if (this.#totalBytes <= this.#limitBytes) {
        return;
      }
      const mapped = entry.mapped.deref();
      if (mapped?.isInUse !== true) {
        this.#drop(entry);
        mapped?.unmap();
      }
    }
  }

  #newEntry(mapped: Mapped): Entry {
    const entry = { sizeBytes: mapped.sizeBytes, mapped: new WeakRef(mapped) };
    this.#entryOf.set(mapped, entry);
    return entry;
  }

  #drop(entry: Entry): void {
    if (entry === this.#latest) {
      this.#latest = undefined;
    }
    if (this.#entries.delete(entry)) {
      this.#totalBytes -= entry.sizeBytes;
    }
  }
}
