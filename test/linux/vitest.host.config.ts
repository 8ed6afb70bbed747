/** `npm run test:linux`: boots guests and runs the tests of `abi/` and others inside them. */
import { defineConfig } from "vitest/config";

/** The arm64 guest is booted when it is named, and not by the way. */
const isArmAskedFor: boolean = process.argv.some((word) => word.includes("arm64"));

export default defineConfig({
  test: {
    env: { PEERBUF_ARM64: isArmAskedFor ? "1" : "" },
    include: ["test/linux/*.boot.ts"],
    fileParallelism: false,
    disableConsoleIntercept: true,
    testTimeout: 1_300_000,
    hookTimeout: 1_300_000,
  },
});
