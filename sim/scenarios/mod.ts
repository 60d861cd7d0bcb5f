/** All scenarios by name. */
import type { Scenario } from "../scenario.ts";
import { crashScenario } from "./crash.ts";

export const scenarios: readonly Scenario[] = [crashScenario];

export function scenarioNamed(name: string): Scenario {
  const scenario = scenarios.find((each) => each.name === name);
  if (scenario === undefined) throw new Error(`no scenario ${name}`);
  return scenario;
}
