/** What runs inside the guest: tests against the real ABI. */
import { defineConfig } from "vitest/config";

const conditions = ["@peerbuf/source"];

export default defineConfig({
  cacheDir: "/tmp/vite",
  ssr: { resolve: { conditions, externalConditions: conditions } },
  resolve: { conditions },
  test: {
    include: ["test/linux/*/*.guest.ts"],
    root: ".",
    isolate: false,
    pool: "threads",
    fileParallelism: false,
    reporters: ["verbose"],
    // A guest under emulation on a busy machine is slow without being wrong.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    retry: 1,
  },
});
