/**
 * Command list: which commands there are, what each is for, and where its code is.
 *
 * A command's module brings the models, parsers and drivers that it needs, so it is loaded when it runs and not
 * before: the list says enough for `peerbuf --help`, and a test holds it against the commands themselves.
 */
import type { Command } from "commander";
import type { Session } from "./session.ts";

export interface CommandEntry {
  /** As the list shows it: the name, then what may stand behind it. */
  readonly term: string;
  readonly description: string;
  load(session: Session): Promise<Command>;
}

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  run: {
    term: "run [options] [scenario]",
    description:
      "negotiate and move real bytes on a modelled machine or this one, with the record and the proof",
    load: async (session) => (await import("./commands/run.ts")).runCommand(session),
  },
  scenario: {
    term: "scenario [options]",
    description: "print the scenario that run uses by itself, to copy and edit",
    load: async (session) => (await import("./commands/scenario.ts")).scenarioCommand(session),
  },
  doctor: {
    term: "doctor [options]",
    description: "what keeps devices from peer-to-peer DMA, and the fix that this kernel accepts",
    load: async (session) => (await import("./commands/doctor.ts")).doctorCommand(session),
  },
  matrix: {
    term: "matrix [options]",
    description: "what P2P DMA will do between all devices of a machine",
    load: async (session) => (await import("./commands/matrix.ts")).matrixCommand(session),
  },
  explain: {
    term: "explain [options] <provider> <client>",
    description: "why P2P DMA works or not between two devices, and what would have to change",
    load: async (session) => (await import("./commands/explain.ts")).explainCommand(session),
  },
  topo: {
    term: "topo [options]",
    description: "the machine as a tree: sockets, switches, devices, and which reach each other",
    load: async (session) => (await import("./commands/topo.ts")).topoCommand(session),
  },
  capture: {
    term: "capture [options] [file]",
    description: "save this machine's topology in one small file that every command reads",
    load: async (session) => (await import("./commands/capture.ts")).captureCommand(session),
  },
  fleet: {
    term: "fleet [options] <place...>",
    description: "groups the machines of many captures, and shows the odd ones and what differs",
    load: async (session) => (await import("./commands/fleet.ts")).fleetCommand(session),
  },
  bufs: {
    term: "bufs [options]",
    description: "every dma-buf on this Linux machine, and who holds it",
    load: async (session) => (await import("./commands/bufs.ts")).bufsCommand(session),
  },
  check: {
    term: "check [options] <file>",
    description: "hold the whole contract against a driver: suite, checker and a short exploration",
    load: async (session) => (await import("./commands/check.ts")).checkCommand(session),
  },
  explore: {
    term: "explore [options] <file>",
    description: "explore schedules and faults of a driver, and replay the one that went wrong",
    load: async (session) => (await import("./commands/explore.ts")).exploreCommand(session),
  },
  new: {
    term: "new",
    description: "make a package for a driver of your own",
    load: async (session) => (await import("./commands/new.ts")).newCommand(session),
  },
  bench: {
    term: "bench [options] [filter]",
    description: "measure peerbuf itself, against baselines measured in the same run",
    load: async (session) => (await import("./commands/bench.ts")).benchCommand(session),
  },
};
