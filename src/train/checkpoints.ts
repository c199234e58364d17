import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { AjetError, ConfigError, FileError } from "../native/errors.js";
import { fileError } from "../native/file-error.js";
import type { Model } from "../native/model.js";
import type { Trainer } from "../native/trainer.js";
import { readJson, removeLeftover, syncFolder, syncPath, writeJsonAtomically } from "./atomic-file.js";
import { newTotals, type RunState } from "./run-state.js";

const STATE_FILE = "run_state.json";
/** Part of the name of a folder that is being written or removed. */
const UNFINISHED = ".tmp-";
/** Files of a model folder beside config and weights; copied along, so that what is saved is a whole Hugging Face folder. */
const TEXT_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "generation_config.json",
  "chat_template.jinja",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
] as const;

/** Copies tokenizer, chat template and generation defaults from one model folder to another. */
export function copyTextFiles(from: string, to: string): void {
  for (const file of TEXT_FILES) {
    const source = join(from, file);
    if (existsSync(source)) copyFileSync(source, join(to, file));
  }
}

/** The checkpoints of a run: `step_N/`, each a Hugging Face folder with the trainer's state. */
export class Checkpoints {
  readonly #folder: string;
  readonly #keep: number;

  /** @param keep newest checkpoints kept, beside the best one. */
  constructor(folder: string, keep: number) {
    this.#folder = folder;
    this.#keep = keep;
  }

  pathOf(step: number): string {
    return join(this.#folder, `step_${step}`);
  }

  /** Steps with a whole checkpoint, ascending. */
  steps(): number[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .map((name) => /^step_(\d+)$/.exec(name)?.[1])
      .filter((digits) => digits !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }

  latest(): number | undefined {
    return this.steps().at(-1);
  }

  /** @throws ConfigError when there are checkpoints: a new run must not mix with an older one. */
  refuseOlder(): undefined {
    const latest = this.latest();
    if (latest === undefined) return;
    throw new ConfigError(
      `${this.pathOf(latest)} is there already, of an older run: choose another \`experiment_name\``,
    );
  }

  /**
   * Writes all files into a folder of another name, then renames it: at any moment a `step_N` is whole. Where the step has
   * a checkpoint already, its weights are these, and only the run's state is written again.
   */
  async save(model: Model, trainer: Trainer, state: RunState, modelFolder: string): Promise<string> {
    const target = this.pathOf(state.step);
    if (existsSync(target)) writeJsonAtomically(join(target, STATE_FILE), state);
    else await this.#write(target, model, trainer, state, modelFolder);
    this.#prune(state);
    return target;
  }

  readState(step: number): RunState {
    const file = join(this.pathOf(step), STATE_FILE);
    const state = readJson(file) as RunState;
    if (state.format !== 1)
      throw new FileError(`${file} has format ${String(state.format)}, this version reads format 1`);
    return { ...state, totals: { ...newTotals(), ...state.totals } }; // an older version may know fewer sums
  }

  async #write(target: string, model: Model, trainer: Trainer, state: RunState, modelFolder: string): Promise<void> {
    const temporary = `${target}${UNFINISHED}${process.pid}`;
    try {
      this.#removeUnfinished();
      mkdirSync(temporary, { recursive: true });
      await model.save(temporary, { dtype: "float32" });
      await trainer.saveState(temporary);
      copyTextFiles(modelFolder, temporary);
      writeJsonAtomically(join(temporary, STATE_FILE), state);
      syncFolder(temporary);
      renameSync(temporary, target);
      syncPath(dirname(target));
    } catch (error) {
      removeLeftover(temporary);
      const latest = this.latest();
      const left = latest === undefined ? "there is none before it" : `the last one is ${this.pathOf(latest)}`;
      const cause = error instanceof AjetError ? error : fileError("Cannot write its files", error);
      throw new FileError(`The checkpoint ${target} could not be written (${left}). ${cause.message}`, {
        cause: error,
      });
    }
  }

  #prune(state: RunState): void {
    const keep = new Set(this.steps().slice(-this.#keep));
    if (state.best) keep.add(state.best.step);
    for (const step of this.steps()) {
      if (keep.has(step)) continue;
      const removed = `${this.pathOf(step)}${UNFINISHED}removed`;
      rmSync(removed, { recursive: true, force: true });
      renameSync(this.pathOf(step), removed);
      rmSync(removed, { recursive: true });
    }
  }

  /** What killed runs left. */
  #removeUnfinished(): void {
    if (!existsSync(this.#folder)) return;
    for (const name of readdirSync(this.#folder)) {
      if (name.includes(UNFINISHED)) rmSync(join(this.#folder, name), { recursive: true });
    }
  }
}
