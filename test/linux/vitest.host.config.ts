/** `npm run test:linux`: boots guests and runs the tests of `abi/` and others inside them. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/linux/*.boot.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 1_300_000,
    hookTimeout: 1_300_000,
  },
});
