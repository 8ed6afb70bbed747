/** Redis server: a real one (Debian package redis-server), on a port of its own, for as long as a test file runs. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const HAS_REDIS: boolean = spawnSync("redis-server", ["--version"]).status === 0;
/** For the title of what is skipped without it. */
export const WHY_NOT: string = HAS_REDIS
  ? ""
  : " (skipped: there is no redis-server; apt-get install redis-server)";

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRedis(...flags: readonly string[]): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-redis-"));
  const port = await freePort();
  const where = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
  const server = spawn("redis-server", [...where, ...flags]);
  const ended = new Promise<void>((resolve) => {
    server.once("exit", () => resolve());
  });
  await new Promise<void>((resolve) => {
    server.stdout.on("data", (text) => {
      if (String(text).includes("Ready to accept connections")) {
        resolve();
      }
    });
  });
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      server.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A port that nobody listens on now. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return typeof address === "object" && address !== null ? address.port : 0;
}
