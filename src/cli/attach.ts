import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import { attachModel, type Model } from "../native/model.js";
import { readLiveWeights } from "../train/live-weights.js";
import { ENGINE_KEYS, type ModelOptions, modelSettings } from "./model-settings.js";

/** How often a server looks whether its run goes on. */
const WATCH_MS = 1000;

/** The model of a training run that goes on in another process. */
export interface AttachedRun {
  settings: AjetConfig;
  model: Model;
  folder: string;
}

/**
 * Opens the weights of a run in place.
 * @param run The run's folder, or its name in saved_experiments.
 * @throws ConfigError when the run does not go on, or an option names another model or device than the run's.
 */
export async function attachRun(run: string, options: Partial<ModelOptions> & { set: string[] }): Promise<AttachedRun> {
  const taken = [
    ...(options.model === undefined ? [] : ["--model"]),
    ...(options.device === undefined ? [] : ["--device"]),
    ...options.set
      .filter((override) => /^\s*(ajet\.)?model\.(path|device|memory_limit_mb)\b/.test(override))
      .map((it) => `--set ${it}`),
  ];
  if (taken.length > 0) {
    throw new ConfigError(`${taken[0]} does not go with --attach: model, device and memory are those of the run`);
  }
  const folder = resolve(existsSync(run) ? run : join("saved_experiments", run));
  if (!existsSync(folder)) throw new ConfigError(`There is no run in ${run}: --attach takes the folder of a run`);
  const live = readLiveWeights(folder);
  const settings = modelSettings({ ...options, model: live.modelFolder }, ENGINE_KEYS);
  const model = await attachModel(live.segment, { threads: settings.model.threads });
  return { settings, model, folder };
}

/** Tells once that a run has ended, and what that means for who serves its weights. */
export function watchRun(model: Model, tell: (text: string) => void): Disposable {
  const timer = setInterval(() => {
    const { writer, version, device } = model;
    if (writer === "live") return;
    clearInterval(timer);
    if (writer === "half_written") {
      tell("the training run was killed while it wrote its weights: requests are answered with 503 from now on");
    } else if (device === "cpu") {
      tell(`the training run has ended: its last weights, version ${version}, are still served`);
    } else {
      tell(
        "the training run has ended, and its weights on the card with it: requests are answered with 503 from now on",
      );
    }
  }, WATCH_MS);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
