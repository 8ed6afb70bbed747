/**
 * Large capture: a generated machine as the sysfs.json that a capture of it would be.
 *
 * Only what the readers look at, and of config space only identity, the PCI Express capability and ACS, at
 * the size a root user captures. So reading it costs what reading a real one costs.
 */
import { PORT_TYPE_NONE, type RootBus, type Topology } from "@peerbuf/topology";

const CONFIG_BYTES = 4096;
const OFFSET = { CAPABILITY: 0x40, EXTENDED: 0x100 } as const;
const STATUS_CAPABILITIES = 0x10;
const CAPABILITY_EXPRESS = 0x10;
const EXTENDED_ACS_V1 = 0x0001_000d;
const EMPTY_RESOURCES: string = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(
  13,
);

/** The text of a sysfs.json. */
export function captureText(topology: Topology): string {
  const files: Record<string, string> = {
    "proc/cpuinfo": cpuText(topology),
    "proc/sys/kernel/osrelease": "6.12.0\n",
  };
  const links: Record<string, string> = {};
  const binary: Record<string, { length: number; hex: string }> = {};
  const hex = (value: number, digits: number): string =>
    `0x${value.toString(16).padStart(digits, "0")}\n`;
  for (let row = 0; row < topology.count; row++) {
    const { vendor, device, classCode, numaNode } = topology.table;
    const folder = folderOf(topology, row);
    links[`sys/bus/pci/devices/${topology.bdfOf(row)}`] = `../../../${folder.slice("sys/".length)}`;
    files[`${folder}/vendor`] = hex(vendor[row] as number, 4);
    files[`${folder}/device`] = hex(device[row] as number, 4);
    files[`${folder}/class`] = hex(classCode[row] as number, 6);
    files[`${folder}/numa_node`] = `${numaNode[row]}\n`;
    files[`${folder}/resource`] = EMPTY_RESOURCES;
    const config = configOf(topology, row);
    const text = Buffer.from(config)
      .toString("hex")
      .replace(/(00)+$/, "");
    binary[`${folder}/config`] = { length: CONFIG_BYTES, hex: text };
  }
  return JSON.stringify({ files, links, binary });
}

function cpuText({ facts }: Topology): string {
  const { vendor = "GenuineIntel", family = 6 } = facts.cpu ?? {};
  return `vendor_id\t: ${vendor}\ncpu family\t: ${family}\nmodel\t\t: 1\n`;
}

/** The nesting of the folder is the chain of bridges. */
function folderOf(topology: Topology, row: number): string {
  const chain: string[] = [];
  for (let above = row; above >= 0; above = topology.parentOf(above)) {
    chain.unshift(topology.bdfOf(above));
  }
  const root: RootBus = topology.rootBusOf(row);
  return ["sys/devices", `pci${root.id}`, ...chain].join("/");
}

function configOf(topology: Topology, row: number): Uint8Array {
  const { vendor, device, classCode, headerType, secondaryBus, subordinateBus } = topology.table;
  const config = Buffer.alloc(CONFIG_BYTES);
  config.writeUInt16LE(vendor[row] as number, 0x00);
  config.writeUInt16LE(device[row] as number, 0x02);
  config.writeUIntLE(classCode[row] as number, 0x09, 3);
  config.writeUInt8(headerType[row] as number, 0x0e);
  if (topology.isBridge(row)) {
    config.writeUInt8(Math.max(0, secondaryBus[row] as number), 0x19);
    config.writeUInt8(Math.max(0, subordinateBus[row] as number), 0x1a);
  }
  const portType = topology.table.portType[row] as number;
  if (portType > PORT_TYPE_NONE) {
    config.writeUInt8(STATUS_CAPABILITIES, 0x06);
    config.writeUInt8(OFFSET.CAPABILITY, 0x34);
    config.writeUInt8(CAPABILITY_EXPRESS, OFFSET.CAPABILITY);
    config.writeUInt16LE((portType << 4) | 2, OFFSET.CAPABILITY + 2);
    writeAcs(topology, row, config);
  }
  return config;
}

function writeAcs(topology: Topology, row: number, config: Buffer): void {
  const acs = topology.acsOf(row);
  if (acs !== undefined && acs !== "absent") {
    config.writeUInt32LE(EXTENDED_ACS_V1, OFFSET.EXTENDED);
    config.writeUInt16LE(acs.capability & 0xff, OFFSET.EXTENDED + 4);
    config.writeUInt16LE(acs.control, OFFSET.EXTENDED + 6);
  }
}
