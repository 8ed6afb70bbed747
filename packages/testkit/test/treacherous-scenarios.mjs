/** Sources of scenarios that go wrong in ways a campaign has to survive. Plain JavaScript: worker threads load it. */
import { existsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exampleSet, step } from "@peerbuf/testkit";

/** The first worker that asks is ended; all others get the examples. */
export function diesOnce({ key }) {
  const mark = join(tmpdir(), `peerbuf-dies-${key}`);
  if (!existsSync(mark)) {
    writeFileSync(mark, "");
    process.exit(1);
  }
  return exampleSet();
}

export function diesAlways() {
  process.exit(1);
}

/** A driver that leaves a timer behind, which ends its thread when the share is done. */
export function failsAfterwards() {
  setTimeout(() => {
    throw new Error("afterwards");
  }, 400);
  return exampleSet();
}

/** Wrong when one actor overtakes all three others twice. */
export function rarelyWrong() {
  const play = (world) => {
    const order = [];
    const actors = [0, 1, 2, 3].map((number) => ({
      name: `actor ${number}`,
      *run() {
        for (let turn = 0; turn < 3; turn++) {
          yield step("goes on", ["order"]);
          order.push(number);
        }
      },
    }));
    const check = () => {
      if (order.slice(0, 6).join("") === "333222") {
        world.report("SYN-014", "they came in the wrong order", "order");
      }
    };
    return { actors, check };
  };
  return { scenarios: [{ name: "rarely-wrong", play }] };
}

/** Two actors with two steps each, and nothing is known of what they touch: six orders. */
export function twoSteps() {
  const actors = ["one", "other"].map((name) => ({
    name,
    *run() {
      yield step("begins", ["all"]);
      yield step("ends", ["all"]);
    },
  }));
  return { scenarios: [{ name: "two-steps", play: () => ({ actors }) }] };
}
