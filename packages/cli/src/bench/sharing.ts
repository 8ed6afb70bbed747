/**
 * Sharing: a buffer behind one device's BAR and an importer on another, for measuring core alone.
 *
 * Real platform, rules and negotiation of the modelled machine; the two drivers answer at once, so
 * that what is measured is what lies between them.
 */
import {
  createFramework,
  type Device,
  DMA,
  type DmaBuf,
  defineExporter,
  type Framework,
  type Importer,
  type MappingOffer,
  P2P,
  PhysicalRanges,
  type Placement,
  type Platform,
  TAKE,
  UNLIMITED,
} from "@peerbuf/core";
import { createMachine, createModelledPlatform } from "@peerbuf/machine";
import { createJudge, rulesForKernel } from "@peerbuf/topology";
import { largeBar, switchWithTwo } from "./two-devices.ts";

const BUFFER_BYTES = 2 ** 20;
const TYPES: readonly MappingOffer[] = [{ type: P2P }, { type: DMA }];

export interface Sharing extends Disposable {
  readonly buffer: DmaBuf;
  readonly importer: Importer;
  readonly platform: Platform;
  readonly placement: Placement;
}

export function openSharing(): Sharing {
  const topology = switchWithTwo();
  const machine = createMachine({ topology });
  const platform = createModelledPlatform(machine);
  const [provider, client] = Array.from(topology.endpoints, (row) =>
    platform.device(topology.bdfOf(row)),
  ) as [Device, Device];
  const ranges = new PhysicalRanges(Float64Array.of(largeBar(topology).start, BUFFER_BYTES));
  const placement: Placement = { target: "device", ranges, provider };
  const judge = createJudge(topology, rulesForKernel());
  const framework: Framework = createFramework({ platform, judge });
  const exporter = framework.openExporter(fixedExporter(placement), provider.id, undefined);
  const buffer = exporter.allocate(BUFFER_BYTES);
  return {
    buffer,
    importer: willingImporter(client),
    platform,
    placement,
    [Symbol.dispose]() {
      buffer.close();
      framework.close();
      platform.close();
    },
  };
}

const fixedExporter = (placement: Placement) =>
  defineExporter({
    name: "fixed",
    needsDevice: true,
    open: () => ({
      api: {},
      allocate: () => ({
        types: TYPES,
        place: () => placement,
        pin: () => placement,
        unpin: () => undefined,
        release: () => undefined,
      }),
    }),
  });

const willingImporter = (device: Device): Importer => ({
  name: "willing",
  device,
  offer: () => ({ answer: "offer", types: TYPES, limits: UNLIMITED }),
  take: () => TAKE,
  invalidateMappings: () => undefined,
});
