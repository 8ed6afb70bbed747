/** Scenario: prints the embedded scenario, to be copied and edited. */
import { Command } from "commander";
import { parse } from "yaml";
import { embeddedText } from "../scenario/embedded.ts";
import type { Session } from "../session.ts";

export function scenarioCommand(session: Session): Command {
  return new Command("scenario")
    .description("print the scenario that run uses by itself, to copy and edit")
    .option("--json", "as JSON, which is as good a scenario")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf scenario > mine.yaml && peerbuf run mine.yaml\n\nThe format is YAML: docs/scenario.md.",
    )
    .action(async ({ json }: { readonly json?: boolean }) => {
      const text = await embeddedText();
      if (json === true) {
        await session.printJson(parse(text));
      } else {
        await session.io.stdout.write(text);
      }
    });
}
