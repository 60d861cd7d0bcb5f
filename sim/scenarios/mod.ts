/** All scenarios by name. */
import type { Scenario } from "../scenario.ts";
import { crashScenario } from "./crash.ts";
import { filesyncScenario } from "./filesync.ts";
import { flipsScenario } from "./flips.ts";
import { matrixScenario } from "./matrix.ts";
import { tokensScenario } from "./tokens.ts";

export const scenarios: readonly Scenario[] = [
  crashScenario,
  matrixScenario,
  flipsScenario,
  tokensScenario,
  filesyncScenario,
];

export function scenarioNamed(name: string): Scenario {
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return scenario;
}
