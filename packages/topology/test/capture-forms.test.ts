/** Forms of a capture: where in a folder or tar a tree may stand, and what is left alone there. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { InputError } from "@peerbuf/core";
import { readCapture, readLive } from "@peerbuf/topology";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { captureFolder } from "./captures.ts";

/** Of coreutils; Node has no call for it. */
const MAKE_PIPE = "/usr/bin/mkfifo";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peerbuf-forms-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const PORT = "sys/devices/pci0000:00/0000:00:03.0";
const write = (path: string, content: string): void => {
  mkdirSync(join(folder, path, ".."), { recursive: true });
  writeFileSync(join(folder, path), content);
};

describe("a copy of /sys in a folder", () => {
  it.each([
    ["directly", "", ""],
    ["inside a folder named after the machine", "gpu-server-7", ""],
    ["as the sys folder itself", "", "sys"],
  ])("is found %s, with /proc beside it", async (_, above, named) => {
    write(join(above, PORT, "class"), "0x030000\n");
    write(join(above, "sys/bus/pci/drivers_probe"), "");
    write(join(above, "proc/cmdline"), "quiet\n");

    const topology = await readCapture(join(folder, named));

    expect(topology.table.bdf).toEqual(["0000:00:03.0"]);
    expect(topology.facts.commandLine).toBe("quiet");
  });

  it("whose links were resolved finds bridges by their bus numbers", async () => {
    write("sys/bus/pci/devices/0000:00:03.0/class", "0x060400");
    write("sys/bus/pci/devices/0000:00:03.0/secondary_bus_number", "1");
    write("sys/bus/pci/devices/0000:01:00.0/class", "0x030000");

    const topology = await readCapture(folder);

    expect(topology.parentOf(topology.require("01:00.0"))).toBe(topology.require("00:03.0"));
  });

  it("in which a bridge was reset keeps the tree and names the bridge", async () => {
    const config = new Uint8Array(64);
    config.set([0x86, 0x80, 0x02, 0x3c], 0);
    config[0x0e] = 1;
    write(`${PORT}/class`, "0x060400");
    write(`${PORT}/config`, "");
    writeFileSync(join(folder, PORT, "config"), config);
    write(`${PORT}/secondary_bus_number`, "0");
    write(`${PORT}/0000:01:00.0/class`, "0x030000");

    const topology = await readCapture(folder);

    expect(topology.parentOf(topology.require("01:00.0"))).toBe(topology.require("00:03.0"));
    expect(topology.facts.contradictions).toMatchObject([
      { fact: "secondary bus", at: "0000:00:03.0", values: [{ value: "0" }, {}] },
    ]);
  });

  it("with a link that leads out of it is refused", async () => {
    write("elsewhere/class", "0x030000");
    mkdirSync(join(folder, "copy/sys/devices/pci0000:00"), { recursive: true });
    symlinkSync("../../../../elsewhere", join(folder, "copy/sys/devices/pci0000:00/0000:00:03.0"));
    mkdirSync(join(folder, "copy/sys/bus/pci/devices"), { recursive: true });
    symlinkSync(
      "../../../devices/pci0000:00/0000:00:03.0",
      join(folder, "copy/sys/bus/pci/devices/0000:00:03.0"),
    );

    await expect(readCapture(join(folder, "copy"))).rejects.toThrow(/outside of the capture/);
  });

  it("with a pipe in place of a file does not wait for it", async () => {
    write(join(PORT, "class"), "0x030000");
    execFileSync(MAKE_PIPE, [join(folder, PORT, "vendor")]);

    expect((await readCapture(folder)).table.vendor[0]).toBe(0xffff);
  });
});

describe("a capture folder with several forms", () => {
  it("is read from its sysfs.json", async () => {
    writeFileSync(
      join(folder, "sysfs.json"),
      JSON.stringify({ files: { [`${PORT}/class`]: "0x030000" } }),
    );
    writeFileSync(join(folder, "sysfs.tar.gz"), "damaged");

    expect((await readCapture(folder)).table.bdf).toEqual(["0000:00:03.0"]);
  });

  it("is read from its tar when that is all there is", async () => {
    const packed = readFileSync(join(captureFolder("tiny-02"), "sysfs.tar.gz"));
    writeFileSync(join(folder, "sysfs.tar.gz"), packed);

    expect((await readCapture(folder)).count).toBe(11);
  });
});

describe("a tar of /sys", () => {
  it("need not be compressed", async () => {
    const packed = readFileSync(join(captureFolder("tiny-02"), "sysfs.tar.gz"));
    writeFileSync(join(folder, "capture.bin"), gunzipSync(packed));

    expect((await readCapture(join(folder, "capture.bin"))).count).toBe(11);
  });

  it("may have a leading folder, and entries that climb out are skipped", async () => {
    const tar = pack();
    tar.entry({ name: `./gpu-server-7/${PORT}/class` }, "0x030000\n");
    tar.entry(
      { name: "gpu-server-7/../../sys/devices/pci0000:00/0000:00:04.0/class" },
      "0x030000\n",
    );
    tar.entry({ name: "gpu-server-7/proc/cmdline" }, "quiet\n");
    tar.entry({ name: "gpu-server-7/etc/passwd" }, "root\n");
    tar.finalize();
    const chunks: Uint8Array[] = [];
    for await (const chunk of tar) {
      chunks.push(chunk as Uint8Array);
    }
    writeFileSync(join(folder, "capture.tar"), Buffer.concat(chunks));

    const topology = await readCapture(join(folder, "capture.tar"));

    expect(topology.table.bdf).toEqual(["0000:00:03.0"]);
    expect(topology.facts.commandLine).toBe("quiet");
  });

  it("cut between two entries is refused for its missing end", async () => {
    const packed = gunzipSync(readFileSync(join(captureFolder("tiny-02"), "sysfs.tar.gz")));
    writeFileSync(join(folder, "cut.tar"), packed.subarray(0, 512 * 12));

    await expect(readCapture(join(folder, "cut.tar"))).rejects.toThrow(InputError);
  });
});

describe("this machine", () => {
  it("can be read, with PCI functions or without", () => {
    const topology = readLive();

    expect(topology.facts.source).toBe("this machine");
    expect(topology.facts.kernelRelease).toMatch(/^\d+\./);
    expect(topology.count).toBe(topology.records().length);
  });
});
