/** A driver with a device model of its own, as the page about drivers has it, and what becomes of it with one mistake in it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { emptyFolder, peerbuf } from "./console.ts";

const PAGE = fileURLToPath(new URL("../../../docs/writing-a-driver.md", import.meta.url));
const CHILD = fileURLToPath(new URL("../dist/driver-kit/kit-child.js", import.meta.url));

/** The module of the page, with one piece of it replaced. */
function doorbell(piece: string, other: string): string {
  const page = readFileSync(PAGE, "utf8");
  const [, module = ""] = /^```ts doorbell\.ts\n([\s\S]*?)^```$/m.exec(page) ?? [];
  expect(module).toContain(piece);
  return module.replace(piece, other);
}

async function explored(module: string): Promise<{ code: number; printed: string }> {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, "doorbell.ts"), module);
  const { code, stdout, stderr } = await peerbuf(
    ["explore", "doorbell.ts", "--schedules", "60", "--workers", "1"],
    { cwd },
  );
  return { code: code ?? -1, printed: stdout + stderr };
}

describe.skipIf(!existsSync(CHILD))(
  "a driver on the modelled machine (run npm run build if this is skipped)",
  () => {
    it("that programs half of an address sends its device where nothing is mapped", async () => {
      const { code, printed } = await explored(doorbell("Math.floor(address / 2 ** 32)", "0"));

      expect(printed).toContain("IMP-016");
      expect(code).toBe(1);
    });

    it("whose fence is signaled before the device has begun breaks a promise", async () => {
      const announced = "buffer.addFence(fence, access);\n";
      const { code, printed } = await explored(
        doorbell(announced, `${announced}      fence.signal();\n`),
      );

      expect(printed).toContain("IMP-043");
      expect(code).toBe(1);
    });

    it("that brings no model is told how to", async () => {
      const { code, printed } = await explored(doorbell("{ model: createDoorbell }", "{}"));

      expect(printed).toContain("export const machine = { model: () => createYourDevice() }");
      expect(code).toBe(2);
    });
  },
);
