/**
 * Tools: the programs that a guest needs, and how to get them.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** Program, and the Debian package that has it. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  "qemu-system-x86_64": "qemu-system-x86",
  "qemu-system-aarch64": "qemu-system-arm",
  busybox: "busybox-static",
  xz: "xz-utils",
  "dpkg-deb": "dpkg",
};

/** Where a program is, by `PATH`; undefined when it is nowhere. */
export const pathOf = (program: string): string | undefined =>
  (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));

/** What this machine is not or has not, with the command that installs it; undefined when nothing is missing. */
export function missingTools(emulator: string): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `the guests are made on x86-64, of this machine's files; this is ${process.platform}-${process.arch}`;
  }
  const missing = [emulator, "busybox", "xz", "dpkg-deb"].filter(
    (program) => pathOf(program) === undefined,
  );
  return missing.length === 0
    ? undefined
    : `${missing.join(", ")} not installed: apt-get install -y --no-install-recommends ${missing.map((program) => PACKAGE_OF[program]).join(" ")}`;
}
