import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AjetConfig } from "../config/schema.js";
import { ConfigError } from "../native/errors.js";
import type { Model } from "../native/model.js";
import { readJson, writeJsonAtomically } from "./atomic-file.js";
import { isRunning, type ProcessMark, thisProcess } from "./process-mark.js";
import { RunFolder } from "./run-folder.js";

/** The file in a run's folder that says where other processes find its weights. */
const LIVE_WEIGHTS_FILE = "live_weights.json";

/** Where the weights of a run are, as long as its process runs. */
export interface LiveWeights {
  /** What `attachModel` takes. */
  segment: string;
  /** With tokenizer and chat template. */
  modelFolder: string;
  process: ProcessMark;
}

/**
 * Lets `ajet serve --attach` read the weights of a run in place, until the result is disposed of. Where the system gives no
 * shared memory the run goes on without, and says so.
 */
export async function publishWeights(
  { model, modelFolder }: { model: Model; modelFolder: string },
  config: AjetConfig,
  folder: string,
  onNote: (text: string) => void,
): Promise<Disposable> {
  const file = join(folder, LIVE_WEIGHTS_FILE);
  const remove = () => rmSync(file, { force: true });
  remove(); // what a run that was killed has left
  if (config.model.share_weights) {
    try {
      const segment = await model.share();
      writeJsonAtomically(file, { segment, modelFolder, process: thisProcess() } satisfies LiveWeights);
    } catch (error) {
      onNote(`no server can attach to this run: ${(error as Error).message}`);
    }
  }
  return { [Symbol.dispose]: remove };
}

/**
 * Where the weights of a run that goes on are.
 * @param folder Of the run.
 * @throws ConfigError when there is no run, it has ended, or does not share its weights.
 */
export function readLiveWeights(folder: string): LiveWeights {
  const file = join(folder, LIVE_WEIGHTS_FILE);
  if (existsSync(file)) {
    const live = readJson(file) as LiveWeights;
    if (isRunning(live.process)) return live;
  }
  if (RunFolder.isAtWork(folder)) {
    throw new ConfigError(
      `The run in ${folder} does not share its weights (yet): it is starting, or \`model.share_weights\` is off, or it said ` +
        "why it cannot",
    );
  }
  throw new ConfigError(
    `No training run goes on in ${folder}: resume it, or serve one of its checkpoints (--model DIR)`,
  );
}
