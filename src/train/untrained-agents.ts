import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import { loadModel } from "../native/model.js";
import type { UntrainedAgents } from "../rollout/episode-runner.js";
import { startServer } from "../serve/server.js";
import { loadTextModel } from "../serve/text-model.js";
import { engineOptions, placeOf } from "./native-options.js";

/** What answers agents that are not among `rollout.trainable_targets`, and how to close it. */
export interface OpenUntrainedAgents {
  agents: UntrainedAgents;
  close(): Promise<void>;
}

/** Opens the endpoint that is configured, or a frozen copy of `model.path`; undefined where all agents are trained. */
export async function openUntrainedAgents(
  config: AjetConfig,
  modelFolder: string,
): Promise<OpenUntrainedAgents | undefined> {
  const { trainable_targets: trainableTargets, untrained_agents } = config.rollout;
  if (trainableTargets === null) return undefined;
  if (untrained_agents.base_url !== null) {
    const outside = outsideEndpoint({ ...untrained_agents, base_url: untrained_agents.base_url });
    return { agents: { trainableTargets, outside }, close: async () => {} };
  }
  // The start weights, also where a run goes on from a checkpoint.
  const model = await loadModel(modelFolder, placeOf(config));
  try {
    const engine = await model.createEngine(engineOptions(config));
    const server = await startServer(await loadTextModel(modelFolder, model, engine));
    const close = async () => {
      await server.stop();
      await model.dispose();
    };
    return { agents: { trainableTargets, server }, close };
  } catch (error) {
    await model.dispose();
    throw error;
  }
}

function outsideEndpoint(settings: { base_url: string; model: string | null; api_key_env: string | null }) {
  const { base_url: baseUrl, model, api_key_env } = settings;
  if (model === null) {
    throw new ConfigError(
      "`rollout.untrained_agents.model` has to name the model of `rollout.untrained_agents.base_url`",
    );
  }
  const apiKey = api_key_env === null ? "none" : process.env[api_key_env];
  if (!apiKey) {
    throw new ConfigError(
      `\`rollout.untrained_agents\` needs a key in the environment variable ${api_key_env}; ` +
        "set it, name another in `api_key_env`, or null where the endpoint wants none",
    );
  }
  return { baseUrl, model, apiKey };
}
