/**
 * Platform contract: what every ground owes to core and to drivers, tried out.
 *
 * Nothing in here knows which platform it stands on: the light world, the modelled machine under any of its
 * DMA layers, or a real kernel.
 */
import {
  CLOCK,
  DEVICE,
  type Device,
  DMA,
  defineImporter,
  FENCES,
  type Framework,
  HOST_MEMORY,
  type HostMemory,
  type Importer,
  type Mapping,
  type PhysicalRanges,
  type Services,
  UNLIMITED,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { Contract, ContractCheck } from "./contract.ts";
import { lightWorld, type OpenWorld } from "./contract-world.ts";
import { partnerExporter } from "./partner-exporter.ts";
import { difference, NotClaimed, patternOf, type Session, sessionCheck } from "./session.ts";

const PAGE_BYTES = 4096;
const MS = 1e6;
const BUFFER_BYTES = 16 * PAGE_BYTES;

export function platformContract(name: string, open: OpenWorld = lightWorld): Contract {
  const checkOf = (
    title: string,
    rules: readonly RuleId[],
    body: (session: Session, ground: Ground) => Promise<void>,
  ): ContractCheck =>
    sessionCheck(title, rules, name, { open }, async (session) => {
      await body(session, groundOf(session));
    });
  const checks = [
    checkOf("drivers find what they need", ["PLT-022"], services),
    checkOf("devices are known", ["PLT-016"], devices),
    checkOf("time goes on, in order", ["PLT-017", "PLT-018"], time),
    checkOf("host memory is whole pages, zeroed", ["PLT-019", "PLT-020"], hostMemory),
    checkOf("host memory keeps its bytes and is freed once", ["PLT-021"], hostBytes),
    checkOf("what a device cannot follow is refused", ["PLT-015", "PLT-014"], limits),
    checkOf("the CPU and a mapped device see the same bytes", ["PLT-040"], inPlace),
    checkOf("two importers see one buffer", ["PLT-041"], together),
    checkOf("the wrong order is refused and changes nothing", ["PLT-042"], order),
    checkOf("who decided what is kept", ["PLT-044"], record),
    checkOf("a leak is given back and named", ["PLT-043"], leak),
  ];
  return { subject: `platform "${name}"`, checks };
}

/** What a driver of the first client sees. */
interface Ground {
  readonly services: Services;
  readonly memory: HostMemory;
  readonly device: Device;
  readonly importer: Importer;
}

const guest = defineImporter<undefined, Services>({
  name: "platform-guest",
  needsDevice: true,
  open: (services) => ({ api: services }),
});

function groundOf(session: Session): Ground {
  const [client] = session.world.clients;
  const { api } = session.framework.openImporter(guest, client, undefined);
  const device = api.get(DEVICE);
  const offer: Importer["offer"] = () => ({ answer: "offer", types: [{ type: DMA }] });
  const importer = { name: "platform-guest", device, offer };
  return { services: api, memory: api.get(HOST_MEMORY), device, importer };
}

async function services(session: Session, ground: Ground): Promise<void> {
  for (const token of [CLOCK, FENCES, HOST_MEMORY, DEVICE] as const) {
    session.demand("PLT-022", ground.services.has(token as never), `no ${token.name} for a driver`);
  }
}

async function devices(session: Session, { device }: Ground): Promise<void> {
  const { platform } = session.world;
  for (const id of session.world.clients) {
    const [once, again] = [platform.device(id), platform.device(id)];
    session.demand("PLT-016", once === again, `${id} is another object each time`);
  }
  session.demand("PLT-016", platform.device(device.id) === device, `${device.id} has two objects`);
  const refused = await session.refusal(() => platform.device("no-such-device"), "a look-up");
  session.demand("PLT-016", refused?.code === "DEVICE_UNKNOWN", `answers ${refused?.code}`);
}

async function time(session: Session, ground: Ground): Promise<void> {
  const clock = ground.services.get(CLOCK);
  const began = clock.nowNs;
  const ran: string[] = [];
  const moments: number[] = [];
  const note =
    (name: string): (() => void) =>
    () => {
      ran.push(name);
      moments.push(clock.nowNs);
    };
  clock.schedule(20 * MS, note("late")); // Far apart: on a real clock time passes between the calls.
  clock.schedule(10 * MS, note("first"));
  clock.schedule(10 * MS, note("second"));
  clock.schedule(15 * MS, note("cancelled")).cancel();
  // On a machine so slow that more passed than lies between them, nothing can be said of their order.
  const isTooSlow = clock.nowNs - began >= 10 * MS;
  session.demand("PLT-017", ran.length === 0, "ran an event inside schedule");
  await session.inTime(new Promise<void>((done) => clock.schedule(30 * MS, done)), "an event");
  const isOrdered = ran.join(" ") === "first second late";
  session.demand("PLT-018", isOrdered || isTooSlow, `ran ${ran.join(", ")}`);
  const steps = [began, ...moments, clock.nowNs];
  const isForward = steps.every((at, index) => index === 0 || at >= (steps[index - 1] ?? 0));
  session.demand("PLT-017", isForward, `time went ${steps.join(", ")}`);
}

async function hostMemory(session: Session, { memory }: Ground): Promise<void> {
  for (const sizeBytes of [1, PAGE_BYTES, BUFFER_BYTES + 1]) {
    const pages = memory.allocate(sizeBytes);
    const { ranges } = pages;
    session.demand("PLT-019", ranges.sizeBytes >= sizeBytes, `${sizeBytes} bytes are too few`);
    session.demand("PLT-019", isWholePages(ranges), `${sizeBytes} bytes are no whole pages`);
    const isZero = bytesOf(memory, ranges).every((byte) => byte === 0);
    session.demand("PLT-019", isZero, `${sizeBytes} bytes are not zeroed`);
    writeTo(memory, ranges, patternOf(1, ranges.sizeBytes));
    memory.free(pages);
  }
  const again = memory.allocate(BUFFER_BYTES, { contiguous: true });
  session.demand("PLT-020", again.ranges.count === 1, `${again.ranges.count} ranges`);
  const isZero = bytesOf(memory, again.ranges).every((byte) => byte === 0);
  session.demand("PLT-019", isZero, "pages come back with old bytes");
  memory.free(again);
}

async function hostBytes(session: Session, { memory }: Ground): Promise<void> {
  const pages = memory.allocate(BUFFER_BYTES);
  writeTo(memory, pages.ranges, patternOf(2, BUFFER_BYTES));
  const wrong = difference(bytesOf(memory, pages.ranges), patternOf(2, BUFFER_BYTES));
  session.demand("PLT-021", wrong === undefined, `host memory changed: ${wrong}`);
  const unwatched = session.bare.openImporter(guest, session.world.clients[1], undefined);
  const bare = unwatched.api.get(HOST_MEMORY);
  const twice = bare.allocate(PAGE_BYTES);
  bare.free(twice);
  const refused = await session.refusal(() => bare.free(twice), "a second free");
  session.demand("PLT-021", refused?.code === "HANDLE_CLOSED", `freed twice: ${refused?.code}`);
  session.bare.close();
  memory.free(pages);
}

/** Requests straight to the DMA layer, as core makes them. */
async function limits(session: Session, { memory, device }: Ground): Promise<void> {
  const pages = memory.allocate(BUFFER_BYTES);
  const { dma } = session.framework.platform;
  const direction = "bidirectional" as const;
  const request = {
    client: device,
    ranges: pages.ranges,
    provider: undefined,
    route: "system" as const,
  };
  const before = dma.map({ ...request, direction, limits: device.limits });
  if ("answer" in before) {
    memory.free(pages);
    throw new NotClaimed(`it maps no host memory for others: ${before.text}`);
  }
  dma.unmap(device, before, direction);
  for (const narrow of [
    { ...UNLIMITED, addressMax: 0xfff },
    { ...UNLIMITED, segmentBytesMax: PAGE_BYTES, segmentCountMax: 1 },
  ]) {
    const answer = dma.map({ ...request, direction, limits: narrow });
    if ("answer" in answer) {
      const isRight = answer.errno !== "EREMOTEIO";
      session.demand("PLT-015", isRight, `refuses host memory with ${answer.errno}`);
    } else {
      dma.unmap(device, answer, direction); // The checker has measured it: it may fit after all.
    }
  }
  const fits = dma.map({ ...request, direction, limits: device.limits });
  session.demand("PLT-014", !("answer" in fits), "refuses what fits after a refusal");
  if (!("answer" in fits)) {
    dma.unmap(device, fits, direction);
  }
  memory.free(pages);
}

type Body = (session: Session, ground: Ground) => Promise<void>;

const inPlace: Body = async (session, { importer }) => {
  const heap = session.framework.openExporter(partnerExporter, undefined, {});
  const buffer = heap.allocate(BUFFER_BYTES);
  await session.inTime(buffer.write(0, patternOf(3, BUFFER_BYTES)), "a write by the CPU");
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("bidirectional");
  const isHost = mapping.target === "system" && mapping.route === "system" && !mapping.copied;
  session.demand("PLT-040", isHost, `is mapped in ${mapping.target} memory by ${mapping.route}`);
  const seen = new Uint8Array(BUFFER_BYTES);
  await transferred(session, mapping, "read", seen);
  const wrong = difference(seen, patternOf(3, BUFFER_BYTES));
  session.demand("PLT-040", wrong === undefined, `a device reads: ${wrong}`);
  await transferred(session, mapping, "write", patternOf(4, BUFFER_BYTES));
  const bytes = await session.inTime(buffer.read(0, BUFFER_BYTES), "a read by the CPU");
  const back = difference(bytes, patternOf(4, BUFFER_BYTES));
  session.demand("PLT-040", back === undefined, `the CPU reads: ${back}`);
  mapping.unmap();
  attachment.detach();
  buffer.close();
};

const together: Body = async (session, { importer }) => {
  const heap = session.framework.openExporter(partnerExporter, undefined, {});
  const buffer = heap.allocate(BUFFER_BYTES);
  const [one, other] = [buffer.attach(importer), buffer.attach(importer)];
  const [reading, writing] = [one.map("to-device"), other.map("from-device")];
  await transferred(session, writing, "write", patternOf(5, BUFFER_BYTES));
  const seen = new Uint8Array(BUFFER_BYTES);
  await transferred(session, reading, "read", seen);
  const wrong = difference(seen, patternOf(5, BUFFER_BYTES));
  session.demand("PLT-041", wrong === undefined, `two mappings of one buffer: ${wrong}`);
  for (const mapping of [reading, writing]) {
    mapping.unmap();
  }
  one.detach();
  other.detach();
  buffer.close();
};

/** On the bare framework: what is done wrong here is done on purpose. */
const order: Body = async (session, { importer }) => {
  const heap = session.bare.openExporter(partnerExporter, undefined, {});
  const buffer = heap.allocate(BUFFER_BYTES);
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("to-device");
  const refusals: [step: () => unknown, code: string][] = [
    [() => attachment.detach(), "WRONG_ORDER"],
    [() => buffer.close(), "BUFFER_BUSY"],
    [() => mapping.unmap(), "went through"],
    [() => mapping.unmap(), "HANDLE_CLOSED"],
    [() => mapping.segments, "HANDLE_CLOSED"],
    [() => attachment.detach(), "went through"],
    [() => attachment.map("to-device"), "WRONG_ORDER"],
    [() => buffer.close(), "went through"],
    [() => buffer.close(), "BUFFER_CLOSED"],
    [() => heap.allocate(0), "SIZE_INVALID"],
    [() => heap.allocate(PAGE_BYTES + 1), "SIZE_INVALID"],
  ];
  for (const [at, [step, code]] of refusals.entries()) {
    const refused = await session.refusal(step, `step ${at + 1}`);
    const answer = refused?.code ?? "went through";
    session.demand("PLT-042", answer === code, `step ${at + 1}: ${answer}, not ${code}`);
  }
  session.bare.close();
};

const record: Body = async (session, { importer }) => {
  const heap = session.framework.openExporter(partnerExporter, undefined, {});
  const buffer = heap.allocate(BUFFER_BYTES);
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("to-device");
  const said = attachment.decisions.map(({ party, stage }) => `${party} ${stage}`);
  for (const stage of ["importer attach", "dma map", "importer map"]) {
    session.demand("PLT-044", said.includes(stage), `the record lacks "${stage}"`);
  }
  mapping.unmap();
  attachment.detach();
  buffer.close();
};

const leak: Body = async (session, { importer }) => {
  const heap = session.bare.openExporter(partnerExporter, undefined, {});
  heap.allocate(BUFFER_BYTES, { name: "forgotten" }).attach(importer).map("to-device");
  const refused = await session.refusal(() => session.bare.close(), "a close over a leak");
  const isNamed = refused?.code === "HANDLE_LEAKED" && refused.message.includes("forgotten");
  session.demand("PLT-043", isNamed, `answers ${refused?.code ?? "nothing"}`);
  const left = Object.values(handlesOf(session.bare)).some((count) => count > 0);
  session.demand("PLT-043", !left, "something is still out");
};

const handlesOf = (framework: Framework): Record<string, number> => ({ ...framework.handles() });

/** The first client's engine; where the world has none, the check is about its bytes alone. */
async function transferred(
  session: Session,
  mapping: Mapping,
  kind: "read" | "write",
  bytes: Uint8Array,
): Promise<void> {
  if (session.world.transfer === undefined) {
    throw new NotClaimed("this world has no engine");
  }
  await session.transfer(mapping, 0, kind, bytes);
}

function isWholePages(ranges: PhysicalRanges): boolean {
  for (let index = 0; index < ranges.count; index++) {
    if (ranges.start(index) % PAGE_BYTES !== 0 || ranges.lengthBytes(index) % PAGE_BYTES !== 0) {
      return false;
    }
  }
  return true;
}

function bytesOf(memory: HostMemory, ranges: PhysicalRanges): Uint8Array {
  const bytes = new Uint8Array(ranges.sizeBytes);
  for (let index = 0, at = 0; index < ranges.count; index++) {
    memory.read(ranges.start(index), bytes.subarray(at, at + ranges.lengthBytes(index)));
    at += ranges.lengthBytes(index);
  }
  return bytes;
}

function writeTo(memory: HostMemory, ranges: PhysicalRanges, bytes: Uint8Array): void {
  for (let index = 0, at = 0; index < ranges.count; index++) {
    memory.write(ranges.start(index), bytes.subarray(at, at + ranges.lengthBytes(index)));
    at += ranges.lengthBytes(index);
  }
}
