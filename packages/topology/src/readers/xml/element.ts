/**
 * Element: one XML element as plain data, and the numbers its attributes hold.
 *
 * What is read keeps the line it came from, so that a refusal can name it.
 */
import { InputError } from "@peerbuf/core";
import { type Bdf, parseBdf } from "../../bdf.ts";

export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly XmlElement[];
  /** Text right inside the element, without that of its children. */
  readonly text: string;
  /** First line is 1. */
  readonly line: number;
}

/** An attribute, undefined when it is not there or empty. */
export function attribute(element: XmlElement, name: string): string | undefined {
  const value = Object.hasOwn(element.attributes, name) ? element.attributes[name]?.trim() : "";
  return value === "" ? undefined : value;
}

/** A whole decimal number; undefined when it is not there. @throws InputError when it is something else */
export function wholeAttribute(
  source: string,
  element: XmlElement,
  name: string,
  low: number,
  high: number,
): number | undefined {
  const text = attribute(element, name);
  if (text === undefined) {
    return undefined;
  }
  const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high)) {
    const cause = `${name}="${shownText(text)}" is not a number from ${low} to ${high}`;
    throw refusedElement(source, element, cause);
  }
  return value;
}

/** A hexadecimal number with or without 0x; undefined when it is not there. @throws InputError otherwise */
export function hexAttribute(
  source: string,
  element: XmlElement,
  name: string,
  high: number,
): number | undefined {
  const text = attribute(element, name);
  if (text === undefined) {
    return undefined;
  }
  const value = /^(?:0x)?[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
  if (!(value <= high)) {
    const cause = `${name}="${shownText(text)}" is not a hexadecimal number up to ${high.toString(16)}`;
    throw refusedElement(source, element, cause);
  }
  return value;
}

/** A PCI address. @throws InputError when it is missing or none */
export function addressAttribute(source: string, element: XmlElement, name: string): Bdf {
  const text = attribute(element, name) ?? "";
  const address = parseBdf(text);
  if (address === undefined) {
    throw refusedElement(source, element, `${name}="${shownText(text)}" is not a PCI address`);
  }
  return address;
}

export const refusedElement = (source: string, element: XmlElement, cause: string): InputError =>
  new InputError({
    source,
    place: `line ${element.line}`,
    cause: `<${shownText(element.name)}>: ${cause}`,
    remedy: "Correct this element, or write the file again",
  });

/** Strange text in a message: short, and nothing a terminal would obey. */
const shownText = (text: string): string => JSON.stringify(text.slice(0, 40)).slice(1, -1);
