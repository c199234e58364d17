import { existsSync } from "node:fs";
import { resolveConfig } from "../config/load-config.js";
import { applyOverrides, type YamlTree } from "../config/overrides.js";
import type { AjetConfig } from "../config/schema.js";
import type { Engine } from "../native/engine.js";
import { ConfigError } from "../native/errors.js";
import { loadModel, type Model } from "../native/model.js";
import { planRun } from "../train/memory-plan.js";
import { engineOptions, placeOf } from "../train/native-options.js";
import { explainingOutOfMemory } from "../train/out-of-memory.js";
import { findPath } from "./bundled.js";
import { type PlaceOptions, placeOverrides } from "./options.js";

/** Options of a command that has a model but no YAML. */
export interface ModelOptions extends PlaceOptions {
  model: string;
  set: string[];
}

const MODEL_KEYS = ["model.path", "model.device", "model.threads", "model.memory_limit_mb"];
/** What `--set` can change about an engine. */
export const ENGINE_KEYS = [
  "rollout.max_model_len",
  "rollout.max_num_seqs",
  "rollout.max_batch_tokens",
  "rollout.kv_cache_mb",
  "rollout.gpu_memory_utilization",
];

/**
 * The settings of a command without a YAML: its options, with `--set` on top.
 * @param keys What `--set` may change beside the model, a key or the mapping it stands in.
 * @param defaults Where the command departs from a run's defaults.
 * @throws ConfigError on another key, or when the model's folder does not exist.
 */
export function modelSettings(options: ModelOptions, keys: readonly string[], defaults: YamlTree = {}): AjetConfig {
  const known = [...MODEL_KEYS, ...keys];
  for (const override of options.set) {
    const path =
      override
        .split("=")[0]
        ?.trim()
        .replace(/^ajet\./, "") ?? "";
    if (!known.some((key) => path === key || path.startsWith(`${key}.`))) {
      throw new ConfigError(`\`${path}\` has no effect on this command: --set takes ${known.join(", ")}`);
    }
  }
  const tree: YamlTree = { rollout: { user_workflow: "none->None" }, ...defaults, model: { path: options.model } };
  applyOverrides(tree, [...options.set, ...placeOverrides(options)]);
  const { config } = resolveConfig(tree, "--set");
  config.model.path = findPath(config.model.path);
  if (!existsSync(config.model.path)) throw new ConfigError(`The model folder ${config.model.path} does not exist`);
  return config;
}

/**
 * The settings of a command that needs neither YAML nor model: `--set` on top of the defaults. All keys of a YAML are taken,
 * so that the same options can be given to every command.
 * @throws ConfigError on an unknown key or a value that does not fit.
 */
export function plainSettings(options: PlaceOptions & { set: string[] }): AjetConfig {
  const tree: YamlTree = { rollout: { user_workflow: "none->None" }, model: { path: "none" } };
  applyOverrides(tree, [...options.set, ...placeOverrides(options)]);
  return resolveConfig(tree, "--set").config;
}

/** Loads the model that the settings name. */
export function openModel(config: AjetConfig): Promise<Model> {
  return loadModel(config.model.path, placeOf(config));
}

/** An engine of it. @throws OutOfMemoryError that says what was planned and what to lower. */
export function openEngine(config: AjetConfig, model: Model): Promise<Engine> {
  const { plan } = planRun(config, config.model.path, { trainer: false });
  return explainingOutOfMemory({ config, trains: false }, () => model.createEngine(engineOptions(config, plan)));
}
