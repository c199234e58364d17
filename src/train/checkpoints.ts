import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { FileError } from "../native/errors.js";
import type { Model } from "../native/model.js";
import type { Trainer } from "../native/trainer.js";
import { readJson, syncFolder, writeJsonAtomically } from "./atomic-file.js";
import type { RunState } from "./run-state.js";

const STATE_FILE = "run_state.json";
/** Files of a model folder beside config and weights; copied along, so that what is saved is a whole Hugging Face folder. */
export const TEXT_FILES = [
  "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja", "special_tokens_map.json",
  "added_tokens.json", "vocab.json", "merges.txt",
] as const;

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

  /** Steps with a whole checkpoint, ascending. Half-written ones carry another name. */
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

  /** Writes all files into a folder of another name, then renames it. */
  async save(model: Model, trainer: Trainer, state: RunState, modelFolder: string): Promise<string> {
    const target = this.pathOf(state.step);
    const temporary = `${target}.tmp-${process.pid}`;
    this.#removeLeftovers();
    mkdirSync(temporary, { recursive: true });
    try {
      await model.save(temporary, { dtype: "float32" });
      await trainer.saveState(temporary);
      for (const file of TEXT_FILES) {
        const source = join(modelFolder, file);
        if (existsSync(source)) copyFileSync(source, join(temporary, file));
      }
      writeJsonAtomically(join(temporary, STATE_FILE), state);
      // An older checkpoint of the same step moves aside first: no moment leaves a half-removed `step_N`.
      if (existsSync(target)) renameSync(target, `${target}.tmp-replaced`);
      renameSync(temporary, target);
      rmSync(`${target}.tmp-replaced`, { recursive: true, force: true });
      syncFolder(this.#folder);
    } catch (error) {
      rmSync(temporary, { recursive: true, force: true });
      throw error;
    }
    this.#prune(state);
    return target;
  }

  readState(step: number): RunState {
    const file = join(this.pathOf(step), STATE_FILE);
    const state = readJson(file) as RunState;
    if (state.format !== 1) throw new FileError(`${file} has format ${String(state.format)}, this version reads format 1`);
    return state;
  }

  #prune(state: RunState): void {
    const keep = new Set(this.steps().slice(-this.#keep));
    if (state.best) keep.add(state.best.step);
    for (const step of this.steps()) {
      if (!keep.has(step)) rmSync(this.pathOf(step), { recursive: true });
    }
  }

  #removeLeftovers(): void {
    if (!existsSync(this.#folder)) return;
    for (const name of readdirSync(this.#folder)) {
      if (name.includes(".tmp-")) rmSync(join(this.#folder, name), { recursive: true });
    }
  }
}
