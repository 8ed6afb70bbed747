import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@peerbuf/source"], externalConditions: ["@peerbuf/source"] } },
  resolve: { conditions: ["@peerbuf/source"] },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    // One realm for all files halves the start; no test keeps state outside its own objects.
    isolate: false,
    // Processes and not threads: tests of real Linux count the descriptors of their process.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
  },
});
