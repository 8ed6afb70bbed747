/** The slowest link of a path, which a judge adds to its verdicts. */
import {
  buildTopology,
  createJudge,
  type FunctionRecord,
  factsNamed,
  type LinkRecord,
  PORT_TYPE,
  rulesForKernel,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const GEN3_X4: LinkRecord = { speedMtps: 8000, width: 4 };
const GEN4_X16: LinkRecord = { speedMtps: 16_000, width: 16 };
const GEN1_X1: LinkRecord = { speedMtps: 2500, width: 1 };

interface Links {
  readonly gpu?: LinkRecord;
  readonly nic?: LinkRecord;
  readonly drive?: LinkRecord;
  /** Of the switch to its root port. */
  readonly uplink?: LinkRecord;
}

/** Host bridge of a listed kind; a GPU and a NIC below one switch, a drive below a root port of its own. */
function judge(links: Links, redirect = 0) {
  const port = (bdf: string, portType: number, secondaryBus: number, subordinateBus: number) => ({
    bdf,
    portType,
    secondaryBus,
    subordinateBus,
    acs: "absent" as const,
  });
  const end = (bdf: string, link: LinkRecord | undefined): FunctionRecord => ({
    bdf,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent",
    ...(link && { link }),
  });
  const { uplink } = links;
  const topology = buildTopology(
    { ...factsNamed("lab"), cpu: { vendor: "AuthenticAMD", family: 25 } },
    [
      { ...port("00:01.0", PORT_TYPE.ROOT_PORT, 1, 4), parent: null },
      { ...port("01:00.0", PORT_TYPE.SWITCH_UPSTREAM, 2, 4), ...(uplink && { link: uplink }) },
      {
        ...port("02:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, 3, 3),
        acs: { capability: 0x5f, control: redirect },
      },
      port("02:01.0", PORT_TYPE.SWITCH_DOWNSTREAM, 4, 4),
      end("03:00.0", links.gpu),
      end("04:00.0", links.nic),
      { ...port("00:02.0", PORT_TYPE.ROOT_PORT, 5, 5), parent: null },
      end("05:00.0", links.drive),
    ],
  );
  const { judge: ask } = createJudge(topology, rulesForKernel());
  return (provider: string, client: string) => ask(provider, client).bytesPerSecond;
}

describe("the speed of a path", () => {
  it("is that of its slowest link, after line coding", () => {
    const ask = judge({ gpu: GEN4_X16, nic: GEN3_X4, uplink: GEN1_X1 });

    expect(ask("03:00.0", "04:00.0")).toBeCloseTo((8e9 * 4 * (128 / 130)) / 8);
  });

  it("takes no notice of links above the switch at which traffic turns round", () => {
    const ask = judge({ gpu: GEN4_X16, nic: GEN4_X16, uplink: GEN1_X1 });

    expect(ask("03:00.0", "04:00.0")).toBeCloseTo((16e9 * 16 * (128 / 130)) / 8);
  });

  it("goes over them where a redirect sends the traffic up", () => {
    const ask = judge({ gpu: GEN4_X16, nic: GEN4_X16, uplink: GEN1_X1 }, 0x04);

    expect(ask("03:00.0", "04:00.0")).toBeCloseTo((2.5e9 * (8 / 10)) / 8);
  });

  it("counts every link to the root complex for functions below different root ports", () => {
    const ask = judge({ gpu: GEN4_X16, uplink: GEN3_X4, drive: GEN4_X16 });

    expect(ask("03:00.0", "05:00.0")).toBeCloseTo((8e9 * 4 * (128 / 130)) / 8);
  });

  it("is not stated when a link on the way was not captured", () => {
    const ask = judge({ gpu: GEN4_X16, uplink: GEN4_X16 });

    expect(ask("03:00.0", "04:00.0")).toBeUndefined();
    expect(ask("03:00.0", "05:00.0")).toBeUndefined();
  });
});
