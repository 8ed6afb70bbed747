/**
 * Vendor names: the makers of what moves bytes between peers, by id, as people call them.
 *
 * A short list that is always there, for machines without a PCI id list. The long names are those of
 * that list (pci.ids), by which lspci output without numbers tells who made a device.
 */

interface Vendor {
  readonly id: number;
  /** As people say it. */
  readonly short: string;
  /** As pci.ids prints it, today and in older releases; only names that stand for this id alone. */
  readonly long: readonly string[];
  /** The list's name where several ids have it, so that it cannot tell the id. */
  readonly shared?: string;
}

const VENDORS: readonly Vendor[] = [
  {
    id: 0x1002,
    short: "AMD",
    long: ["Advanced Micro Devices, Inc. [AMD/ATI]", "Advanced Micro Devices [AMD] nee ATI"],
  },
  {
    id: 0x1022,
    short: "AMD",
    long: ["Advanced Micro Devices, Inc. [AMD]", "Advanced Micro Devices [AMD]"],
  },
  { id: 0x1000, short: "Broadcom", long: ["Broadcom / LSI", "LSI Logic / Symbios Logic"] },
  { id: 0x1014, short: "IBM", long: ["IBM"] },
  {
    id: 0x102b,
    short: "Matrox",
    long: ["Matrox Electronics Systems Ltd.", "Matrox Graphics, Inc."],
  },
  { id: 0x104c, short: "TI", long: ["Texas Instruments"] },
  { id: 0x1077, short: "QLogic", long: ["QLogic Corp."] },
  { id: 0x10b5, short: "PLX", long: ["PLX Technology, Inc."] },
  { id: 0x10de, short: "NVIDIA", long: ["NVIDIA Corporation", "nVidia Corporation"] },
  { id: 0x10df, short: "Emulex", long: [], shared: "Emulex Corporation" },
  { id: 0x10ec, short: "Realtek", long: ["Realtek Semiconductor Co., Ltd."] },
  { id: 0x10ee, short: "Xilinx", long: ["Xilinx Corporation"] },
  { id: 0x1137, short: "Cisco", long: ["Cisco Systems Inc"] },
  { id: 0x1179, short: "Toshiba", long: ["Toshiba Corporation"] },
  { id: 0x11f8, short: "Microchip", long: ["PMC-Sierra Inc."] },
  { id: 0x126f, short: "Silicon Motion", long: ["Silicon Motion, Inc."] },
  { id: 0x1344, short: "Micron", long: ["Micron Technology Inc"] },
  { id: 0x1414, short: "Microsoft", long: ["Microsoft Corporation"] },
  { id: 0x1425, short: "Chelsio", long: ["Chelsio Communications Inc"] },
  { id: 0x144d, short: "Samsung", long: ["Samsung Electronics Co Ltd"] },
  { id: 0x14e4, short: "Broadcom", long: ["Broadcom Inc. and subsidiaries", "Broadcom Limited"] },
  { id: 0x15ad, short: "VMware", long: ["VMware"] },
  { id: 0x15b3, short: "Mellanox", long: ["Mellanox Technologies"] },
  {
    id: 0x15b7,
    short: "SanDisk",
    long: ["Sandisk Corp", "SanDisk Corp", "Western Digital / Sandisk"],
  },
  { id: 0x17db, short: "Cray", long: [], shared: "Cray Inc" },
  { id: 0x1924, short: "Solarflare", long: ["Solarflare Communications"] },
  { id: 0x1987, short: "Phison", long: ["Phison Electronics Corporation"] },
  { id: 0x19e5, short: "Huawei", long: ["Huawei Technologies Co., Ltd."] },
  { id: 0x1a03, short: "ASPEED", long: ["ASPEED Technology, Inc."] },
  { id: 0x1af4, short: "Red Hat", long: [], shared: "Red Hat, Inc." },
  { id: 0x1b21, short: "ASMedia", long: ["ASMedia Technology Inc."] },
  { id: 0x1b36, short: "QEMU", long: [], shared: "Red Hat, Inc." },
  { id: 0x1b4b, short: "Marvell", long: [], shared: "Marvell Technology Group Ltd." },
  { id: 0x1b96, short: "WD", long: [], shared: "Western Digital" },
  { id: 0x1bb1, short: "Seagate", long: ["Seagate Technology PLC"] },
  { id: 0x1c5c, short: "SK hynix", long: ["SK hynix"] },
  { id: 0x1c5f, short: "Memblaze", long: ["Beijing Memblaze Technology Co. Ltd."] },
  { id: 0x1cc1, short: "ADATA", long: ["ADATA Technology Co., Ltd."] },
  { id: 0x1d0f, short: "Amazon", long: ["Amazon.com, Inc."] },
  { id: 0x1d94, short: "Hygon", long: ["Chengdu Haiguang IC Design Co., Ltd."] },
  { id: 0x1da3, short: "Habana", long: ["Habana Labs Ltd."] },
  { id: 0x1dd8, short: "Pensando", long: ["AMD Pensando Systems", "Pensando Systems"] },
  { id: 0x1e0f, short: "Kioxia", long: ["KIOXIA Corporation"] },
  { id: 0x2646, short: "Kingston", long: ["Kingston Technology Company, Inc."] },
  { id: 0x8086, short: "Intel", long: ["Intel Corporation"] },
  { id: 0x9005, short: "Adaptec", long: [], shared: "Adaptec" },
  { id: 0xc0a9, short: "Crucial", long: ["Micron/Crucial Technology"] },
];

const vendorById: ReadonlyMap<number, Vendor> = new Map(
  VENDORS.map((vendor) => [vendor.id, vendor]),
);
/** Longest first, so that `[AMD/ATI]` is not taken for `[AMD]`. */
const byLongName: readonly (readonly [string, number])[] = VENDORS.flatMap(({ id, long }) =>
  long.map((name) => [name, id] as const),
).sort(([one], [other]) => other.length - one.length);

/** The name people use; undefined for a vendor that is not in the short list. */
export const shortVendorName = (id: number): string | undefined => vendorById.get(id)?.short;

/** The long name in a list; with `words`, the one with which they start. */
export function longVendorName(id: number, words?: string): string | undefined {
  const { long = [], shared } = vendorById.get(id) ?? {};
  const names = shared === undefined ? long : [...long, shared];
  return words === undefined ? names[0] : names.find((name) => words.startsWith(`${name} `));
}

/** The id of the vendor with whose long name `words` start. */
export function vendorOfName(words: string): number | undefined {
  return byLongName.find(([name]) => words === name || words.startsWith(`${name} `))?.[1];
}
