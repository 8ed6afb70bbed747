/**
 * Doctor: will P2P work on this machine, why not, and what to change.
 */
import { Command } from "commander";
import { type Diagnosis, diagnose, needsAction } from "../doctor/diagnosis.ts";
import { doctorLines } from "../doctor/doctor-report.ts";
import { headline } from "../doctor/headline.ts";
import { emptyAnswer } from "../empty-answer.ts";
import { EXIT } from "../exit-code.ts";
import { describeFunction, shortNames } from "../function-label.ts";
import {
  addMachineOptions,
  type MachineChoice,
  type MachineDefaults,
  openMachine,
} from "../machine-source.ts";
import { paintFor } from "../paint.ts";
import type { Session } from "../session.ts";

interface DoctorOptions extends MachineChoice {
  readonly between?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

/** Whoever calls a doctor means this machine. */
const OWN: MachineDefaults = { machine: "own" };

export function doctorCommand(session: Session): Command {
  return addMachineOptions(new Command("doctor"), OWN)
    .description("what keeps devices from peer-to-peer DMA, and the fix that this kernel accepts")
    .option("-b, --between <names>", "only these: kinds (gpu,nic,nvme) or names, with commas")
    .option("-a, --all", "every finding with every fix and every way to make it")
    .option("--json", "the same as JSON, always with everything")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf doctor --between gpu,nic\n\nExit code: 0 when there is nothing to do, 1 when there is, 2 when the machine cannot be read.",
    )
    .action(async (options: DoctorOptions) => doctor(session, options));
}

async function doctor(session: Session, options: DoctorOptions): Promise<void> {
  const { topology, rules } = await openMachine(options, session.io.cwd, OWN);
  const diagnosis = diagnose(topology, rules, options.between);
  session.exitCode = isFine(diagnosis) ? EXIT.OK : EXIT.FINDING;
  if (options.json === true) {
    await session.printJson(asJson(diagnosis));
  } else {
    await session.printLines(doctorLines(session, diagnosis, options.all === true));
  }
}

/** Nothing to do: every pair is known to work, or there is none. */
const isFine = (diagnosis: Diagnosis): boolean =>
  diagnosis.pairCount === 0
    ? !emptyAnswer(diagnosis.topology, diagnosis.rows.length).isOpen
    : isAllWorking(diagnosis);

const isAllWorking = ({ counts, findings }: Diagnosis): boolean =>
  counts.unknown === 0 && counts.unsupported === 0 && !findings.some(needsAction);

function asJson(diagnosis: Diagnosis): unknown {
  const { topology, rules, rows, pairCount, counts, findings } = diagnosis;
  const { source, format, missing, contradictions } = topology.facts;
  const names = shortNames(topology);
  const plain = paintFor({ isTerminal: false, columns: 0, write: async () => undefined }, {});
  return {
    kernel: rules.version,
    source,
    format,
    /** The first line that people get. */
    answer: headline(plain, diagnosis),
    devices: Array.from(rows, (row) => ({
      bdf: topology.bdfOf(row),
      name: names.get(row),
      label: describeFunction(topology, row),
    })),
    pairs: { count: pairCount, ...counts },
    findings,
    missing,
    contradictions,
  };
}
