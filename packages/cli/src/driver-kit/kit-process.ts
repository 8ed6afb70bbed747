/**
 * Kit process: runs somebody's driver where it can do no harm, in bounded time and memory.
 *
 * A process of its own, killed when it takes too long or too much. What the driver prints goes to our
 * stderr, as far as anybody wants to read. From TypeScript sources, which Node cannot start a process from, the built
 * files beside them are used.
 */
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { InputProblem } from "@peerbuf/core";
import type { Io } from "../io.ts";
import type { KitMessage, KitOrder, KitReport, KitStage } from "./kit-order.ts";

export interface KitLimits {
  /** For loading the module, and again for opening the driver. */
  readonly openMs: number;
  readonly wholeMs: number;
  readonly memoryBytes: number;
}

export type KitEnd =
  | { readonly kind: "report"; readonly report: KitReport }
  | { readonly kind: "problem"; readonly problem: InputProblem }
  | { readonly kind: "bug"; readonly stack: string }
  /** It was stopped, or ended by itself: why, as the end of a sentence. */
  | {
      readonly kind: "stopped";
      readonly stage: KitStage;
      readonly at: string;
      readonly why: string;
    };

export interface KitListener {
  stage(stage: KitStage, total: number): void;
  progress(done: number): void;
}

const MEMORY_POLL_MS = 50;
const PRINTED_BYTES_MAX = 64 * 1024;
const PAGE_BYTES = 4096;
const MIB = 2 ** 20;

export function runKit(
  io: Io,
  order: KitOrder,
  limits: KitLimits,
  listener: KitListener,
): Promise<KitEnd> {
  const child = fork(childPath(), [], {
    execArgv: [`--max-old-space-size=${Math.ceil(limits.memoryBytes / MIB)}`],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
  });
  forwardPrinted(child, io);
  child.send(order);
  return new KitWatch(child, limits, listener).ended;
}

const childPath = (): string =>
  fileURLToPath(
    import.meta.url.endsWith(".js")
      ? new URL("./kit-child.js", import.meta.url)
      : new URL("../../dist/driver-kit/kit-child.js", import.meta.url),
  );

/** Waits for the answer, and stops whoever does not give one. */
class KitWatch {
  readonly ended: Promise<KitEnd>;
  readonly #child: ChildProcess;
  readonly #limits: KitLimits;
  #stage: KitStage = "load";
  /** The check or scenario under way. */
  #at = "";
  #answer: KitEnd | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  #opening: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess, limits: KitLimits, listener: KitListener) {
    this.#child = child;
    this.#limits = limits;
    const { wholeMs } = limits;
    this.#begin("load");
    this.#timers.push(
      setTimeout(() => this.#stop(`did not come back within ${seconds(wholeMs)}`), wholeMs),
      setInterval(() => this.#watchMemory(), MEMORY_POLL_MS),
    );
    child.on("message", (message) => this.#hear(message as KitMessage, listener));
    this.ended = new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        for (const timer of [...this.#timers, this.#opening]) {
          clearTimeout(timer);
        }
        resolve(this.#answer ?? this.#stopped(endedBy(code, signal, limits)));
      });
    });
  }

  #hear(message: KitMessage, listener: KitListener): void {
    switch (message.kind) {
      case "stage":
        this.#begin(message.stage);
        listener.stage(message.stage, message.total);
        break;
      case "progress":
        this.#at = message.what;
        listener.progress(message.done);
        break;
      default:
        this.#answer ??= message;
        this.#child.kill("SIGKILL"); // It has said all; timers of the driver's need not run on.
    }
  }

  /** Loading and opening have limits of their own. */
  #begin(stage: KitStage): void {
    this.#stage = stage;
    clearTimeout(this.#opening);
    if (stage === "load" || stage === "open") {
      const { openMs } = this.#limits;
      this.#opening = setTimeout(
        () => this.#stop(`did not come back within ${seconds(openMs)}`),
        openMs,
      );
    }
  }

  #watchMemory(): void {
    if (residentBytes(this.#child.pid) > this.#limits.memoryBytes) {
      this.#stop(tooMuchMemory(this.#limits));
    }
  }

  #stop(why: string): void {
    this.#answer ??= this.#stopped(why);
    this.#child.kill("SIGKILL");
  }

  #stopped(why: string): KitEnd {
    return { kind: "stopped", stage: this.#stage, at: this.#at, why };
  }
}

/** A process of Linux tells; elsewhere the heap's own limit has to do. */
function residentBytes(pid: number | undefined): number {
  try {
    const pages = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1];
    return Number(pages) * PAGE_BYTES;
  } catch {
    return 0;
  }
}

function endedBy(code: number | null, signal: string | null, limits: KitLimits): string {
  if (signal === "SIGABRT" || code === 134) {
    return tooMuchMemory(limits);
  }
  return signal === null ? `ended the process with code ${code}` : `was ended by ${signal}`;
}

const tooMuchMemory = ({ memoryBytes }: KitLimits): string =>
  `took more than ${Math.round(memoryBytes / MIB)} MiB of memory`;

const seconds = (ms: number): string => `${ms / 1000} s`;

/** What a driver prints is for its author; without end it is for nobody. */
function forwardPrinted({ stdout, stderr }: ChildProcess, io: Io): void {
  let leftBytes = PRINTED_BYTES_MAX;
  const forward = (bytes: Buffer): void => {
    const part = bytes.subarray(0, leftBytes);
    leftBytes -= part.length;
    if (part.length > 0) {
      io.stderr.write(part.toString()).catch(() => undefined); // Whoever does not listen misses nothing else.
    }
  };
  stdout?.on("data", forward);
  stderr?.on("data", forward);
}
