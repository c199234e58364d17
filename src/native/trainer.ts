import { nativeAddon } from "./addon.js";
import type { ModelHandle, TrainerHandle } from "./addon-types.js";
import { flattenCalls } from "./call-arrays.js";
import { AbortError } from "./errors.js";
import { makeFolder } from "./make-folder.js";
import type { Model } from "./model.js";
import { invalidArgument, nativeCall } from "./native-call.js";
import type { CallFate, LossOptions, TrainBatch, TrainCall, TrainerOptions, TrainStats } from "./types.js";

/** By `CallFate` of native/train/token_tree.h. */
export const CALL_FATES: readonly CallFate[] = ["trained", "merged"];

export interface StepOptions {
  /** Aborting stops the update between two parts of it; the weights stay as they were. */
  signal?: AbortSignal;
}

export interface Scores {
  /** One array a call, one element a sampled token. */
  logprobs: Float32Array[];
  entropies: Float32Array[];
}

/** AdamW over the model's own weights: each step changes what its engines sample from, with nothing to copy. */
export class Trainer implements AsyncDisposable {
  readonly #handle: TrainerHandle;
  #lastStep = 0;

  private constructor(
    readonly model: Model,
    handle: TrainerHandle,
  ) {
    this.#handle = handle;
  }

  /** @internal Use `model.createTrainer()`. */
  static async open(model: Model, handle: ModelHandle, options: TrainerOptions): Promise<Trainer> {
    return new Trainer(model, await nativeAddon().createTrainer(handle, options));
  }

  /** One update on a batch, or its losses alone with `evaluateOnly`. */
  async step(batch: TrainBatch, loss: LossOptions, options: StepOptions = {}): Promise<TrainStats> {
    const { signal } = options;
    const id = ++this.#lastStep;
    const abort = (): void => nativeAddon().trainerAbortStep(this.#handle, id);
    return nativeCall(this.step, async () => {
      if (signal?.aborted) throw new AbortError("The update was aborted", { cause: signal.reason });
      const calls = flattenCalls("trainer.step", batch.calls);
      checkScores(batch, loss);
      const done = nativeAddon().trainerStep(this.#handle, id, { ...batch, calls }, loss);
      signal?.addEventListener("abort", abort, { once: true });
      try {
        const stats = await done;
        return { ...stats, fates: Array.from(stats.fates, (fate) => CALL_FATES[fate] as CallFate) };
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    });
  }

  /** Log-probs and entropies of the sampled tokens under the weights as they are, or under the frozen reference. */
  async score(calls: readonly TrainCall[], options: { reference?: boolean } = {}): Promise<Scores> {
    return nativeCall(this.score, async () => {
      const flat = flattenCalls("trainer.score", calls);
      const { logprobs, entropies } = await nativeAddon().trainerScore(this.#handle, flat, options.reference ?? false);
      const split = (values: Float32Array): Float32Array[] =>
        calls.map((_, i) => values.slice(flat.sampledOffsets[i], flat.sampledOffsets[i + 1]));
      return { logprobs: split(logprobs), entropies: split(entropies) };
    });
  }

  /** Updates made, those before a `loadState` included. */
  stepsDone(): number {
    return nativeAddon().trainerStepsDone(this.#handle);
  }

  /** Optimizer state and step count (not the weights: `model.save`) into a folder, which is made where it is missing. */
  async saveState(dir: string): Promise<void> {
    await nativeCall(this.saveState, async () => {
      await makeFolder(dir);
      await nativeAddon().trainerSaveState(this.#handle, dir);
    });
  }

  /** Reads back what {@link saveState} wrote for a model of the same shape. */
  async loadState(dir: string): Promise<void> {
    await nativeCall(this.loadState, () => nativeAddon().trainerLoadState(this.#handle, dir));
  }

  /** Waits for the update that is running. Idempotent. */
  async dispose(): Promise<void> {
    await nativeCall(this.dispose, () => nativeAddon().trainerDispose(this.#handle));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** What is there is checked by the addon. */
function checkScores({ rewards, groups, advantages }: TrainBatch, { preset }: LossOptions): void {
  const expect = (name: string, type: string) =>
    invalidArgument("trainer.step", `${type} with one value an episode`, name, undefined);
  const isScored = rewards !== undefined || groups !== undefined;
  if (rewards === undefined && (isScored || (preset !== "sft" && advantages === undefined)))
    throw expect("rewards", "a Float64Array");
  if (groups === undefined && isScored) throw expect("groups", "an Int32Array");
}
