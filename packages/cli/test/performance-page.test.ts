/** `docs/performance.md` promises what `peerbuf bench` measures. */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { peerbuf } from "./console.ts";

const page = readFileSync(new URL("../../../docs/performance.md", import.meta.url), "utf8");

interface Result {
  readonly name: string;
  readonly bar: Readonly<Record<string, string>>;
}

it("lists every bench with its bar, in the order in which they run", async () => {
  const rows = [...page.matchAll(/^\| `([\w.-]+)` \|.*\| (\w+) ([<>]= [\d.]+) \|$/gm)];

  const { stdout } = await peerbuf(["bench", "--quick", "--json"]);

  const promised = rows.map(([, name, kind = "", bar]) => ({ name, bar: { [kind]: bar } }));
  const { results } = JSON.parse(stdout) as { results: Result[] };
  expect(promised).toEqual(results.map(({ name, bar }) => ({ name, bar })));
});
