/**
 * Buffer touches: what each transition of a buffer touches of it.
 *
 * Its place (where the bytes are, and whether it is held at all), who is attached, what is mapped or pinned. To attach is to
 * add to those that are attached, to map is to look at the place and to add to the mappings: two importers commute in
 * both. A move changes the place and asks for all attachments and mappings, so it commutes with none of that. The
 * order of attachments is not told apart, although a move tells importers in it.
 */
import { ADD, READ, type Touches, WRITE } from "./touches.ts";
import { TRANSITIONS, type Transition } from "./transition.ts";

interface BufferTouch {
  readonly place: number;
  readonly attachments: number;
  readonly mappings: number;
}

const ATTACHES: BufferTouch = { place: READ, attachments: ADD, mappings: 0 };
const MAPS: BufferTouch = { place: READ, attachments: 0, mappings: ADD };
const LOOKS: BufferTouch = { place: READ, attachments: 0, mappings: 0 };
const REFUSES: BufferTouch = { place: READ, attachments: READ, mappings: READ };
const CHANGES: BufferTouch = { place: WRITE, attachments: READ, mappings: READ };

const BY_TRANSITION: Readonly<Record<Transition, BufferTouch>> = {
  allocate: CHANGES,
  attach: ATTACHES,
  "attach refused": LOOKS,
  pin: MAPS,
  unpin: MAPS,
  place: LOOKS,
  "place refused": LOOKS,
  map: MAPS,
  unmap: MAPS,
  move: CHANGES,
  "move refused": REFUSES,
  revoke: CHANGES,
  restore: CHANGES,
  "copy out": LOOKS,
  "copy back": LOOKS,
  "cpu begin": LOOKS,
  "cpu end": LOOKS,
  detach: ATTACHES,
  release: CHANGES,
};

const BY_NUMBER = TRANSITIONS.map((name) => BY_TRANSITION[name]);

/** By the name of the buffer and the number of the transition. */
export function touchBuffer(touches: Touches, buffer: string, transition: number): void {
  const { place, attachments, mappings } = BY_NUMBER[transition] as BufferTouch;
  touches.touch(touches.subject(`place of ${buffer}`), place);
  touches.touch(touches.subject(`attachments of ${buffer}`), attachments);
  touches.touch(touches.subject(`mappings of ${buffer}`), mappings);
}

/** Somebody asks where it is, or whether it may be used at all. */
export function lookAtPlace(touches: Touches, buffer: string): void {
  touches.read(touches.subject(`place of ${buffer}`));
}

/** Its exporter asks who needs it where it is. */
export function lookAtUsers(touches: Touches, buffer: string): void {
  touches.read(touches.subject(`attachments of ${buffer}`));
  touches.read(touches.subject(`mappings of ${buffer}`));
}
