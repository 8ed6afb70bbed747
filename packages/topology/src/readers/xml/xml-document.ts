/**
 * XML document: a file as a tree of elements, within limits.
 *
 * No entity but the five of XML itself is known and no external one is ever fetched, so a document
 * cannot grow while it is read; one that declares entities is refused for it. Depth, elements and bytes
 * are bounded, and nothing here calls itself.
 */
import { StringDecoder } from "node:string_decoder";
import { InputError } from "@peerbuf/core";
import sax, { type SAXParser } from "sax";
import type { CaptureHead } from "../capture-head.ts";
import { unreadable } from "../capture-text.ts";
import type { XmlElement } from "./element.ts";

/** Bytes of an XML capture after decompression, at most; the largest lstopo file seen has 0.3 MB. */
const XML_BYTES_MAX = 64 * 2 ** 20;
/** Elements, at most; a machine with 4,096 CPUs takes about 60,000. */
const XML_ELEMENT_COUNT_MAX = 300_000;
/** Attributes of one element, at most; hwloc writes about 20. */
const XML_ATTRIBUTE_COUNT_MAX = 256;
/** Elements inside one another, at most: 256 bridges below the levels of a large machine. */
const XML_DEPTH_MAX = 512;

/** Only the five entities of XML itself; with the strict parser any other one is an error. */
const OPTIONS = { strictEntities: true, position: true };

interface OpenElement extends XmlElement {
  readonly children: OpenElement[];
  text: string;
}

/** @throws InputError with the line for anything that is not well-formed, or beyond a limit */
export async function readXml(head: CaptureHead): Promise<XmlElement> {
  const growing = new GrowingTree(head.path);
  const decoder = new StringDecoder("utf8");
  let bytes = 0;
  try {
    for await (const chunk of head.open()) {
      bytes += (chunk as Buffer).length;
      if (bytes > XML_BYTES_MAX) {
        throw growing.refused(`it has more than ${XML_BYTES_MAX} bytes`);
      }
      growing.write(decoder.write(chunk as Buffer));
    }
    growing.write(decoder.end());
    return growing.close();
  } catch (error) {
    throw unreadable(head.path, error);
  }
}

class GrowingTree {
  readonly #source: string;
  readonly #parser: SAXParser;
  readonly #open: OpenElement[] = [];
  #root: OpenElement | undefined;
  #count = 0;
  #attributeCount = 0;

  constructor(source: string) {
    this.#source = source;
    this.#parser = sax.parser(true, OPTIONS);
    this.#parser.onopentag = ({ name, attributes }) =>
      this.#opened(name, attributes as Record<string, string>);
    this.#parser.onattribute = () => this.#given();
    this.#parser.onclosetag = () => void this.#open.pop();
    this.#parser.ontext = (text) => this.#said(text);
    this.#parser.ondoctype = (text) => this.#declared(text);
    this.#parser.onerror = (error) => {
      throw this.refused(`this is not well-formed XML (${firstLine(error.message)})`);
    };
  }

  write(text: string): void {
    this.#parser.write(text);
  }

  close(): XmlElement {
    this.#parser.close();
    if (this.#root === undefined || this.#open.length > 0) {
      throw this.refused("the document is not complete");
    }
    return this.#root;
  }

  refused(cause: string): InputError {
    return new InputError({
      source: this.#source,
      place: `line ${(this.#parser.line ?? 0) + 1}`,
      cause,
      remedy: "Write the file again, or copy it again",
    });
  }

  #given(): void {
    this.#attributeCount += 1;
    if (this.#attributeCount > XML_ATTRIBUTE_COUNT_MAX) {
      throw this.refused(`an element has more than ${XML_ATTRIBUTE_COUNT_MAX} attributes`);
    }
  }

  #opened(name: string, attributes: Record<string, string>): void {
    this.#attributeCount = 0;
    this.#count += 1;
    if (this.#count > XML_ELEMENT_COUNT_MAX) {
      throw this.refused(`it has more than ${XML_ELEMENT_COUNT_MAX} elements`);
    }
    if (this.#open.length >= XML_DEPTH_MAX) {
      throw this.refused(`elements are nested more than ${XML_DEPTH_MAX} deep`);
    }
    const line = (this.#parser.line ?? 0) + 1;
    const element: OpenElement = { name, attributes, children: [], text: "", line };
    const above = this.#open.at(-1);
    if (above === undefined && this.#root !== undefined) {
      throw this.refused("there is a second document in it");
    }
    this.#root ??= element;
    above?.children.push(element);
    this.#open.push(element);
  }

  #said(text: string): void {
    const element = this.#open.at(-1);
    if (element !== undefined && text.trim() !== "") {
      element.text += text;
    }
  }

  /** `<!DOCTYPE topology SYSTEM "hwloc2.dtd">` is fine, and nobody opens that file. */
  #declared(text: string): void {
    if (text.includes("[") || /<!ENTITY/i.test(text)) {
      throw this.refused("it declares entities of its own, which are not read");
    }
  }
}

const firstLine = (message: string): string => message.split("\n", 1)[0] ?? "";
