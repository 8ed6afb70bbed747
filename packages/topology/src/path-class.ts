/**
 * Path class: how NVIDIA's tools name the distance between two devices.
 *
 * A class is nearness, not permission: `PIX` with ACS redirect on is not switch-local, and `PHB` may be
 * refused or fine. The table is what a tool printed; nothing here derives classes from a tree.
 */

/**
 * `X` itself; `PIX` at most one bridge; `PXB` several bridges but no host bridge; `PHB` one host bridge;
 * `NODE` between host bridges of one NUMA node; `SYS` between NUMA nodes (older tools: `SOC`);
 * `NV#` a bond of # NVLinks, which hides the PCIe path.
 */
export type PathClass = "X" | "PIX" | "PXB" | "PHB" | "NODE" | "SYS" | `NV${number}`;

/** Rows and columns of one matrix. */
export interface PathClassTable {
  /** As printed: `GPU0`, `NIC0`, `mlx5_0`. */
  readonly names: readonly string[];
  /** `classes[row][column]`, both in the order of `names`. Undefined: the cell was cut or not readable. */
  readonly classes: readonly (readonly (PathClass | undefined)[])[];
  /** Operating system names by printed name (`NIC0` to `mlx5_0`), from the NIC legend. */
  readonly osNames: ReadonlyMap<string, string>;
  /** CPU list and NUMA node of a GPU by printed name, as printed; left out columns are not in it. */
  readonly cpuLists: ReadonlyMap<string, string>;
  readonly numaNodes: ReadonlyMap<string, number>;
}
