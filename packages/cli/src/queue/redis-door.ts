/**
 * Redis door: the way to a Redis that others can reach too, and whether it is still there.
 *
 * BullMQ waits for ever for a Redis that is away, which is right for a service and wrong for a command: here an address that
 * leads nowhere is refused at once, and a Redis that goes away for longer than a restart takes ends the work with a sentence.
 */
import { InputError } from "@peerbuf/core";
import type { Redis } from "ioredis";

export interface RedisDoor {
  /** For BullMQ. */
  readonly connection: { readonly url: string; readonly maxRetriesPerRequest: null };
  /** Rejects with an `InputError` when Redis has gone. Never resolves. */
  readonly lost: Promise<never>;
  /** Says that whoever opened this is still there. */
  announce(key: string): Promise<void>;
  isAnnounced(key: string): Promise<boolean>;
  /** An `InputError` for what Redis refuses to do (it only reads, its memory is used up); anything else as it is. */
  told(error: unknown): unknown;
  close(): Promise<void>;
}

export interface DoorOptions {
  /** How long Redis may be away; default 10,000 ms. */
  readonly awayMs?: number;
  /** For each step of connecting; default 5,000 ms. */
  readonly connectMs?: number;
}

const CONNECT_MS = 5_000;
const BEAT_MS = 1_000;
/** Longer than a Redis needs to start again. */
const AWAY_MS = 10_000;
/** An announcement is good for so long without a beat. */
const ANNOUNCED_SECONDS = 30;

/** `InputError`: no address of a Redis, nobody there, or one that does not let us in. */
export async function openDoor(
  url: string,
  { awayMs = AWAY_MS, connectMs = CONNECT_MS }: DoorOptions = {},
): Promise<RedisDoor> {
  requireAddress(url);
  const client = await connected(url, connectMs);
  return new Door(url, client, awayMs);
}

function requireAddress(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new InputError({
      source: shown(url),
      cause: "this is no address of a Redis",
      remedy: "Give one such as redis://127.0.0.1:6379",
    });
  }
}

/** As people may read it: without the password. */
function shown(url: string): string {
  if (!URL.canParse(url)) {
    return url.replace(/:[^:@/]*@/, ":***@");
  }
  const parsed = new URL(url);
  parsed.password = parsed.password === "" ? "" : "***";
  return parsed.href;
}

async function connected(url: string, connectMs: number): Promise<Redis> {
  const { Redis: Client } = await import("ioredis");
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: connectMs,
    commandTimeout: connectMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let first: Error | undefined;
  client.on("error", (error) => {
    first ??= error;
  });
  try {
    await client.connect();
    await client.ping();
    if (first !== undefined) {
      throw first; // Of a database that there is not.
    }
  } catch (error) {
    client.disconnect();
    throw unreachable(url, first ?? (error as Error));
  }
  client.options.retryStrategy = () => BEAT_MS;
  return client;
}

function unreachable(url: string, error: Error): InputError {
  const source = shown(url);
  const options = { cause: error };
  if (/NOAUTH|WRONGPASS|NOPERM|AUTH/.test(error.message)) {
    const isAnonymous = /NOAUTH/.test(error.message);
    const cause = isAnonymous
      ? "this Redis wants a password"
      : "this Redis refuses name and password";
    const remedy = "Put them into the address: redis://name:password@host:port";
    return new InputError({ source, cause, remedy }, options);
  }
  const { code } = error as NodeJS.ErrnoException;
  const why = code ?? error.message.split("\n")[0] ?? "";
  const cause = `no Redis that can be used answers there (${why})`;
  const remedy = "Start one there (Debian: apt install redis-server), or correct the address";
  return new InputError({ source, cause, remedy }, options);
}

class Door implements RedisDoor {
  readonly connection: RedisDoor["connection"];
  readonly lost: Promise<never>;
  readonly #client: Redis;
  readonly #source: string;
  readonly #awayMs: number;
  readonly #beat: NodeJS.Timeout;
  #announced: string | undefined;
  #answeredMs = performance.now();
  #reject: (error: InputError) => void = () => undefined;

  constructor(url: string, client: Redis, awayMs: number) {
    this.#awayMs = awayMs;
    this.connection = { url, maxRetriesPerRequest: null };
    this.#client = client;
    this.#source = shown(url);
    this.lost = new Promise((_resolve, reject) => {
      this.#reject = reject;
    });
    this.lost.catch(() => undefined); // Whoever waits for it hears of it; perhaps nobody does.
    this.#beat = setInterval(() => void this.#ask(), BEAT_MS);
  }

  async announce(key: string): Promise<void> {
    await this.#client.set(key, "here", "EX", ANNOUNCED_SECONDS);
    this.#announced = key;
  }

  async isAnnounced(key: string): Promise<boolean> {
    // While Redis is away for a moment, nothing is known to have ended.
    return (await this.#client.exists(key).catch(() => 1)) === 1;
  }

  told(error: unknown): unknown {
    if (!(error instanceof Error && error.name === "ReplyError")) {
      return error;
    }
    const cause = `this Redis cannot keep a campaign (${error.message.split("\n")[0]})`;
    const remedy = "Name one that can be written to and has memory left";
    return new InputError({ source: this.#source, cause, remedy }, { cause: error });
  }

  async close(): Promise<void> {
    clearInterval(this.#beat);
    if (this.#announced !== undefined) {
      await this.#client.del(this.#announced).catch(() => undefined); // It would expire anyway.
    }
    this.#client.disconnect();
  }

  async #ask(): Promise<void> {
    try {
      const isKept = await this.#renew();
      this.#answeredMs = performance.now();
      if (!isKept) {
        this.#lose(
          "Redis has forgotten the campaign",
          "It was emptied or started again: begin anew",
        );
      }
    } catch {
      if (performance.now() - this.#answeredMs > this.#awayMs) {
        const remedy = "Begin anew when it is back: nothing but time is lost";
        this.#lose(`Redis has gone away and not come back in ${this.#awayMs / 1000} s`, remedy);
      }
    }
  }

  /** False: what was announced is not there any more. */
  async #renew(): Promise<boolean> {
    if (this.#announced === undefined) {
      await this.#client.ping();
      return true;
    }
    return (await this.#client.expire(this.#announced, ANNOUNCED_SECONDS)) === 1;
  }

  #lose(cause: string, remedy: string): void {
    clearInterval(this.#beat);
    this.#reject(new InputError({ source: this.#source, cause, remedy }));
  }
}
