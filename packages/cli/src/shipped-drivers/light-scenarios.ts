/**
 * Light scenarios: the drivers that come with the project and program no registers, in the explorer's own world.
 */
import { systemHeap } from "@peerbuf/exporters";
import {
  createChecker,
  movingExporter,
  type Scenario,
  type ScenarioSet,
  scenariosFor,
} from "@peerbuf/testkit";

function lightScenarios(): readonly Scenario[] {
  return [
    ...scenariosFor(systemHeap),
    ...scenariosFor(movingExporter, { move: (api) => void api.evict() }),
  ];
}

/** As a source of scenarios for workers. */
export const lightSet = (): ScenarioSet => ({
  scenarios: lightScenarios(),
  checker: createChecker,
});
