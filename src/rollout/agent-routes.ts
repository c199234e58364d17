import type { AgentOptions, BaseUrlAndKey } from "../agent/tuner.js";
import { AGENT_SEPARATOR } from "../serve/bearer.js";

/** Where the agents of a workflow go when not all of them are trained. */
export interface AgentRoutes {
  /** Targets that are trained. */
  trainableTargets: readonly string[];
  /** The endpoint of all others: a frozen copy of the start weights, or one outside. */
  others: BaseUrlAndKey;
  /** `others` is not ours: it knows nothing of our headers and keys, and answers to one model name. */
  isOutside: boolean;
}

/** Where one agent goes. */
export interface AgentRoute extends BaseUrlAndKey {
  isOutside: boolean;
}

/** The endpoint of an agent. @throws TypeError where it has to say which target it is, and does not. */
export function routeAgent(own: BaseUrlAndKey, routes: AgentRoutes | undefined, agent: AgentOptions = {}): AgentRoute {
  const { agentName, targetTag = agentName } = agent;
  if (routes !== undefined && targetTag === undefined) {
    throw new TypeError(
      "`rollout.trainable_targets` is set, so every agent has to say who it is: give `targetTag` or `agentName`",
    );
  }
  const isTrained = routes === undefined || routes.trainableTargets.includes(targetTag as string);
  const endpoint = isTrained ? own : routes.others;
  const isOutside = !isTrained && routes.isOutside;
  if (isOutside || agentName === undefined) return { ...endpoint, isOutside };
  return { ...endpoint, apiKey: `${endpoint.apiKey}${AGENT_SEPARATOR}${encodeURIComponent(agentName)}`, isOutside };
}
