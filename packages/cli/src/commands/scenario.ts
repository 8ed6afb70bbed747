/** Scenario: prints the embedded scenario, to be copied and edited. */
import { Command } from "commander";
import { embeddedText } from "../scenario/embedded.ts";
import type { Session } from "../session.ts";

export function scenarioCommand(session: Session): Command {
  return new Command("scenario")
    .description("print the scenario that run uses by itself, to copy and edit")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf scenario > mine.yaml && peerbuf run mine.yaml\n\nThe format is YAML: docs/scenario.md.",
    )
    .action(async () => {
      await session.io.stdout.write(await embeddedText());
    });
}
