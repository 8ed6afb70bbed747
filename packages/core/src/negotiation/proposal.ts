/**
 * Proposal: a settlement before the importer's eyes (stage 7), and the way back if it is not taken.
 *
 * Whatever the importer does, addresses that it did not take go back to the DMA layer.
 */
import { type Reason, reason } from "../decision.ts";
import type { Direction } from "../direction.ts";
import { PeerbufError } from "../error.ts";
import type { TakeAnswer } from "../importer.ts";
import type { Settlement } from "./settlement.ts";
import type { Talk } from "./talk.ts";

/** The importer's answer. Gives the addresses back when it throws, or answers what is no answer. */
export function lookAt(talk: Talk, settlement: Settlement, direction: Direction): TakeAnswer {
  const { importer } = talk;
  if (importer.take === undefined) {
    return TAKE_AS_IS;
  }
  const { type, route, segments, placement } = settlement;
  const target = placement?.target ?? "system";
  try {
    return checked(importer.take({ type, target, route, segments, direction }), talk);
  } catch (error) {
    giveBack(talk, settlement, direction);
    throw error;
  }
}

/** Gives addresses back to the DMA layer, if it made them. */
export function giveBack(talk: Talk, { type, segments }: Settlement, direction: Direction): void {
  if (type.addresses === "dma") {
    talk.exported.platform.dma.unmap(talk.importer.device, segments, direction);
  }
}

/** A driver in plain JavaScript may answer anything. */
function checked(answer: TakeAnswer, { importerName }: Talk): TakeAnswer {
  const word: unknown = answer?.answer;
  if (word === "take" || word === "ask-system" || word === "substitute" || word === "decline") {
    return answer;
  }
  const message = `${importerName} answered a proposal with ${String(word ?? answer)}`;
  throw new PeerbufError("DRIVER_BROKEN", message);
}

export const TAKEN: Reason = reason("TAKEN", "takes the mapping as proposed");
const TAKE_AS_IS: TakeAnswer = Object.freeze({ answer: "take" });
