import type { Judge } from "../agent/judge.js";
import type { Workflow } from "../agent/workflow.js";
import type { UserClasses } from "./run-workflow.js";
import { loadUserClass, type UserClass } from "./user-code.js";

/** Loads workflow and judge, and has the judge check its settings. @throws ConfigError */
export async function loadUserClasses(
  workflow: UserClass,
  judge: UserClass | null,
  config: Record<string, unknown>,
): Promise<UserClasses> {
  const classes: UserClasses = { workflow: await loadUserClass<Workflow>(workflow, "execute") };
  if (judge === null) return classes;
  const make = await loadUserClass<Judge>(judge, "computeReward");
  const first = make(config);
  await first.prepare?.();
  return { ...classes, judge: make, judgesGroups: typeof first.computeGroupRewards === "function" };
}
