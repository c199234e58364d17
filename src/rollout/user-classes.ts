import type { Judge } from "../agent/judge.js";
import type { Workflow } from "../agent/workflow.js";
import { AjetError, ConfigError } from "../native/errors.js";
import { describeThrown } from "./episode-error.js";
import type { UserClasses } from "./run-workflow.js";
import { loadUserClass, type UserClass, type UserFactory } from "./user-code.js";

/** Loads workflow and judge, and has the judge check its settings. @throws ConfigError */
export async function loadUserClasses(
  workflow: UserClass,
  judge: UserClass | null,
  config: Record<string, unknown>,
): Promise<UserClasses> {
  const classes: UserClasses = { workflow: await loadUserClass<Workflow>(workflow, "execute") };
  if (judge === null) return classes;
  const make = await loadUserClass<Judge>(judge, "computeReward");
  const first = await prepared(make, config, judge.spec);
  return { ...classes, judge: make, judgesGroups: typeof first.computeGroupRewards === "function" };
}

/** An instance that has checked its settings; the other instances are like it. */
async function prepared(make: UserFactory<Judge>, config: Record<string, unknown>, spec: string): Promise<Judge> {
  try {
    const judge = make(config);
    await judge.prepare?.();
    return judge;
  } catch (error) {
    if (error instanceof AjetError) throw error;
    throw new ConfigError(`The judge ${spec} cannot be prepared: ${describeThrown(error)}`, { cause: error });
  }
}
