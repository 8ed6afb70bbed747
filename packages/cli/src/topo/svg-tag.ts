/** SVG tag: elements as text, with everything that comes from a capture escaped. */

type Attributes = Readonly<Record<string, string | number>>;

/** An element without content. */
export const tag = (name: string, attributes: Attributes): string =>
  `<${name}${attributeText(attributes)}/>`;

/** A line of text; "" for none. */
export const label = (text: string, attributes: Attributes): string =>
  text === "" ? "" : `<text${attributeText(attributes)}>${escaped(text)}</text>`;

/** A line of text whose end looks different. */
export const twoToned = (
  start: string,
  end: string,
  attributes: Attributes,
  tone: Attributes,
): string =>
  `<text${attributeText(attributes)}>${escaped(start)}<tspan${attributeText(tone)}>${escaped(end)}</tspan></text>`;

const attributeText = (attributes: Attributes): string =>
  Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === "number" ? short(value) : escaped(value)}"`)
    .join("");

const short = (value: number): string => String(Math.round(value * 100) / 100);

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Control characters are no part of any XML 1.0 document; they are shown as a box. */
const escaped = (text: string): string =>
  text
    .replace(/[&<>"]/g, (character) => ENTITIES[character] as string)
    .replace(/[\p{Cc}\ufffe\uffff]|\p{Cs}/gu, "\ufffd");
