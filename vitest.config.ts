import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@peerbuf/source"], externalConditions: ["@peerbuf/source"] } },
  resolve: { conditions: ["@peerbuf/source"] },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    // One realm for all files halves the start; no test keeps state outside its own objects.
    isolate: false,
    pool: "threads",
    testTimeout: 60_000,
  },
});
