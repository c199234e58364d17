import { readFile } from "node:fs/promises";
import { nativeAddon } from "./addon.js";
import type { ModelHandle } from "./addon-types.js";
import { Engine } from "./engine.js";
import { FileError } from "./errors.js";
import { makeFolder } from "./make-folder.js";
import { nativeCall } from "./native-call.js";
import { Trainer } from "./trainer.js";
import type {
  AttachOptions,
  DeviceMemory,
  EngineOptions,
  LoadOptions,
  ModelShape,
  TrainerOptions,
  WeightsWriter,
} from "./types.js";

/** The keys of a Hugging Face `config.json` that decide a model's shape; others are looked at where they matter. */
export interface ModelConfigJson {
  model_type: "qwen2" | "qwen3" | "llama";
  vocab_size: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads?: number;
  head_dim?: number;
  max_position_embeddings?: number;
  rms_norm_eps?: number;
  rope_theta?: number;
  tie_word_embeddings?: boolean;
  [key: string]: unknown;
}

export interface SaveOptions {
  /** Default "float32", which loses nothing. */
  dtype?: "float32" | "bfloat16";
}

export interface WriteWeightOptions {
  /** Count this as an update: cached prefixes computed under the old value are dropped. Default false. */
  bumpVersion?: boolean;
}

/** One copy of the weights, which engines sample from and trainers write to. */
export class Model implements AsyncDisposable {
  readonly #handle: ModelHandle;
  readonly shape: ModelShape;
  /** "cpu" or "cuda:0" */
  readonly device: string;
  /** With threads and instruction set: "cpu, 2 threads, avx2". */
  readonly deviceDescription: string;
  /** Why `device: "auto"` took the CPU, one line; empty where it did not. */
  readonly whyNotCuda: string;

  /** `deviceDescription`, with the reason where CUDA was not taken. */
  get deviceLine(): string {
    return this.whyNotCuda === "" ? this.deviceDescription : `${this.deviceDescription} (not CUDA: ${this.whyNotCuda})`;
  }

  private constructor(handle: ModelHandle) {
    const { device, deviceDescription, whyNotCuda, ...shape } = nativeAddon().modelShape(handle);
    this.#handle = handle;
    this.shape = shape;
    this.device = device;
    this.deviceDescription = deviceDescription;
    this.whyNotCuda = whyNotCuda;
  }

  /** @internal Use {@link loadModel} or {@link createModel}. */
  static async open(handle: Promise<ModelHandle>): Promise<Model> {
    return new Model(await handle);
  }

  /** Of the weights: 0 when loaded, +1 with each update. */
  get version(): number {
    return nativeAddon().modelVersion(this.#handle);
  }

  /** Who writes the weights. */
  get writer(): WeightsWriter {
    return nativeAddon().modelWriter(this.#handle);
  }

  /**
   * Lets other processes of this user read the weights in place, by {@link attachModel} with the path that this returns.
   * Nothing is left behind when this process ends.
   */
  async share(): Promise<string> {
    return nativeCall(this.share, () => nativeAddon().modelShare(this.#handle));
  }

  /** Of the model with its engines and trainers, after the job that is running. */
  async memory(): Promise<DeviceMemory> {
    return nativeCall(this.memory, () => nativeAddon().modelMemory(this.#handle));
  }

  /** An engine that samples from these weights. */
  async createEngine(options: EngineOptions = {}): Promise<Engine> {
    return nativeCall(this.createEngine, () => Engine.open(this, this.#handle, options));
  }

  /** A trainer that updates these weights. */
  async createTrainer(options: TrainerOptions = {}): Promise<Trainer> {
    return nativeCall(this.createTrainer, () => Trainer.open(this, this.#handle, options));
  }

  /**
   * Writes `config.json` and `model.safetensors` into a folder, which is made where it is missing.
   * @throws FileError where nothing can be written there.
   */
  async save(dir: string, options: SaveOptions = {}): Promise<void> {
    await nativeCall(this.save, async () => {
      await makeFolder(dir);
      await nativeAddon().modelSave(this.#handle, dir, options.dtype ?? "float32");
    });
  }

  /** Hugging Face names, `model.layers.0.self_attn.q_proj.weight` and so on. */
  weightNames(): string[] {
    return nativeAddon().modelWeightNames(this.#handle);
  }

  /** A copy of one weight, row-major. */
  async readWeight(name: string): Promise<Float32Array> {
    return nativeCall(this.readWeight, () => nativeAddon().modelReadWeight(this.#handle, name));
  }

  /** Overwrites one weight, row-major. */
  async writeWeight(name: string, values: Float32Array, options: WriteWeightOptions = {}): Promise<void> {
    await nativeCall(this.writeWeight, () =>
      nativeAddon().modelWriteWeight(this.#handle, name, values, options.bumpVersion ?? false),
    );
  }

  /** Disposes of its engines and trainers, after the job that is running, then of the weights. Idempotent. */
  async dispose(): Promise<void> {
    await nativeCall(this.dispose, () => nativeAddon().modelDispose(this.#handle));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Loads a Hugging Face folder: `config.json` and `model.safetensors`, or shards with their index. */
export async function loadModel(dir: string, options: LoadOptions = {}): Promise<Model> {
  return nativeCall(loadModel, () => Model.open(nativeAddon().loadModel(dir, options)));
}

/**
 * The weights of a model in another process, read in place: its updates are seen at once, without a copy. Engines of it
 * wait while the weights are written; it cannot be trained.
 * @param segment What {@link Model.share} returned there.
 */
export async function attachModel(segment: string, options: AttachOptions = {}): Promise<Model> {
  return nativeCall(attachModel, () => Model.open(nativeAddon().attachModel(segment, options)));
}

/** A model with random weights, the same for the same seed. `config` is what a `config.json` would hold. */
export async function createModel(config: ModelConfigJson, seed: bigint, options: LoadOptions = {}): Promise<Model> {
  return nativeCall(createModel, () => Model.open(nativeAddon().createModel(JSON.stringify(config), seed, options)));
}

/** As {@link createModel}, from a `config.json` on disk. */
export async function createModelFromConfig(path: string, seed: bigint, options: LoadOptions = {}): Promise<Model> {
  return nativeCall(createModelFromConfig, async () => {
    const text = await readFile(path, "utf8").catch((cause: Error) => {
      throw new FileError(`Cannot read ${path}: ${cause.message}`, { cause });
    });
    return Model.open(nativeAddon().createModel(text, seed, options));
  });
}
