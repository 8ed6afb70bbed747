/**
 * Redact capture: takes serial numbers and addresses out of a capture, and leaves every verdict as it is.
 *
 * An allowlist, not a hunt: of config space only the capabilities that the readers decode are kept, of
 * the command line only parameters about PCI and the IOMMU. Memory addresses are moved, all by the same
 * distance below 4 GiB and by another above, so that windows and BARs still nest; I/O ports stay.
 */
import { AddressShift } from "./address-shift.ts";
import type { CapturedFiles } from "./captured-files.ts";
import { redactConfig } from "./redact-config.ts";

export function redactCapture(captured: CapturedFiles): CapturedFiles {
  const resources = Array.from(captured.files).filter(([path]) => path.endsWith("/resource"));
  const shift = AddressShift.over(
    resources.map(([, text]) => text),
    [...captured.binary.values()],
  );
  const files = new Map(captured.files);
  for (const [path, text] of resources) {
    files.set(path, shift.resource(text));
  }
  const commandLine = files.get("proc/cmdline");
  if (commandLine !== undefined) {
    files.set("proc/cmdline", redactCommandLine(commandLine));
  }
  return {
    ...captured,
    files,
    binary: new Map(
      Array.from(captured.binary, ([path, bytes]) => [path, redactConfig(bytes, shift)]),
    ),
    folders: captured.folders.map((path) => path.replace(/\/enx[0-9a-f]{12}$/i, "/enx")),
  };
}

/** Parameters about what is judged here; of all others only the name is kept. */
const KEPT =
  /^(?:pci|pcie_\w+|\w*iommu[\w.]*|vfio[\w.-]*|nvidia[\w.-]*|amdgpu[\w.-]*|nvme[\w.-]*|kvm[\w.-]*|hugepages\w*|default_hugepagesz)=/;

const redactCommandLine = (text: string): string =>
  text
    .split(/\s+/)
    .map((word) =>
      KEPT.test(word) || !word.includes("=") ? word : `${word.split("=", 1)[0]}=redacted`,
    )
    .join(" ");
