/**
 * Token: a failing run as one short text that anybody can replay.
 *
 * `scenario~faults~choices`: the scenario's name; the faults that were allowed, by number and how many in a run (`-`: none); the
 * answers of the run, each as a letter or digit (0-9, a-z, then `(n)`), three or more zeros in a row as their count between dots. For example
 * `two-importers~1:0.4.8~.3.a.12.b1`. What it was found with (strategy, seed) is in the report: the choices are the run.
 */
import { InputError } from "@peerbuf/core";
import { FAULT_KINDS, type FaultKind } from "../ground/fault-kind.ts";

export interface Token {
  readonly scenario: string;
  readonly faults: readonly FaultKind[];
  readonly faultsMax: number;
  readonly choices: readonly number[];
}

const CHOICES_MAX = 100_000;

export function writeToken({ scenario, faults, faultsMax, choices }: Token): string {
  const kinds = faults.map((kind) => FAULT_KINDS.indexOf(kind)).join(".");
  return [scenario, kinds === "" ? "-" : `${faultsMax}:${kinds}`, writeChoices(choices)].join("~");
}

/** `InputError` says what is wrong with it. */
export function readToken(text: string): Token {
  const [scenario, kinds, answers, ...more] = text.trim().split("~");
  if (!scenario || kinds === undefined || answers === undefined || more.length > 0) {
    throw refused(text, "it has not the form scenario~faults~choices");
  }
  return { scenario, ...readFaults(text, kinds), choices: readChoices(text, answers) };
}

function readFaults(token: string, text: string): Pick<Token, "faults" | "faultsMax"> {
  if (text === "-") {
    return { faults: [], faultsMax: 0 };
  }
  const match = /^(\d{1,3}):(\d{1,2}(?:\.\d{1,2})*)$/.exec(text);
  if (match === null) {
    throw refused(token, `"${text}" is no list of faults`);
  }
  const faults = (match[2] as string).split(".").map((number) => {
    const kind = FAULT_KINDS[Number(number)];
    if (kind === undefined) {
      throw refused(token, `there is no fault number ${number}`);
    }
    return kind;
  });
  return { faults, faultsMax: Number(match[1]) };
}

function writeChoices(choices: readonly number[]): string {
  let text = "";
  for (let at = 0; at < choices.length; ) {
    const zeros = zerosFrom(choices, at);
    if (zeros > 2) {
      text += `.${zeros}.`;
      at += zeros;
    } else {
      const choice = choices[at++] as number;
      text += choice < 36 ? choice.toString(36) : `(${choice})`;
    }
  }
  return text === "" ? "." : text;
}

function readChoices(token: string, text: string): number[] {
  const choices: number[] = [];
  const parts = text === "." ? [] : text.matchAll(/\.(\d{1,6})\.|\((\d{1,9})\)|([0-9a-z])|(.)/g);
  for (const [, zeros, large, small, wrong] of parts) {
    if (wrong !== undefined || choices.length > CHOICES_MAX) {
      throw refused(token, wrong === undefined ? "it is too long" : `"${wrong}" is no choice`);
    }
    if (zeros !== undefined) {
      choices.push(...new Array<number>(Math.min(Number(zeros), CHOICES_MAX)).fill(0));
    } else {
      choices.push(large === undefined ? Number.parseInt(small as string, 36) : Number(large));
    }
  }
  return choices;
}

function zerosFrom(choices: readonly number[], start: number): number {
  let at = start;
  while (choices[at] === 0) {
    at++;
  }
  return at - start;
}

const refused = (token: string, cause: string): InputError =>
  new InputError({
    source: token.length > 80 ? `${token.slice(0, 80)}...` : token,
    cause: `this is no token of a run: ${cause}`,
    remedy: "Copy the whole token that the failing run printed",
  });
