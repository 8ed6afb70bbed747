/**
 * Replacements: other models, drivers and decisions than the shipped ones, for a harness that tests its own.
 *
 * A replacement has the same way in as what it replaces, so the scenario that uses it stays the same.
 */
import type { ExporterDriver, ImporterDriver } from "@peerbuf/core";
import type { Nvme, NvmeOptions, PeerOptions, Rdma } from "@peerbuf/importers";
import type { ChoiceSource, DeviceModel } from "@peerbuf/machine";

export interface Replacements {
  /** Makes the model behind a function, by place as the scenario names it in full (`a/0000:13:00.0`), from the shipped one. */
  readonly models?: Readonly<Record<string, (shipped: DeviceModel) => DeviceModel>>;
  /** Decides what faults with a probability do, in place of each machine's seed: a recording, or an explorer. */
  readonly choices?: ChoiceSource;
  readonly gpu?: ExporterDriver<undefined, object>;
  readonly nvme?: ImporterDriver<NvmeOptions | undefined, Nvme>;
  readonly rdma?: ImporterDriver<PeerOptions | undefined, Rdma>;
}
