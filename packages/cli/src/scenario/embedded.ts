/** Embedded scenario: what `peerbuf run` does when nobody says what. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ScenarioFile } from "./scenario-file.ts";

/** Beside `src` and `dist`. */
const PATH = fileURLToPath(new URL("../../scenarios/demo.yaml", import.meta.url));

export const embeddedText = (): Promise<string> => readFile(PATH, "utf8");

export async function embeddedScenario(): Promise<ScenarioFile> {
  return new ScenarioFile("the embedded scenario", await embeddedText());
}
