/** Plain data that crosses between the native core and its users. Token ids are int32, log-probs natural logs. */

/** Where a model runs. `auto` takes CUDA where a driver answers, else the CPU. */
export type Device = "auto" | "cpu" | "cuda" | `cuda:${number}`;

export interface LoadOptions {
  device?: Device;
  /** What products are computed in; default `bfloat16` on CUDA. The CPU has `float32` alone. */
  dtype?: "float32" | "bfloat16";
  /** Worker threads of the CPU backend, 1 to 256; 0 (default) is one per core. */
  threads?: number;
  /** Instruction set of the CPU backend; default the best that the machine has. */
  isa?: "avx512" | "avx2" | "portable";
  /** Most memory that the model, its engines and trainers may take on the device; 0 (default) is all there is. */
  memoryLimitBytes?: number;
}

/** The weights of another process lie where that process has them: only the CPU's threads are a choice. */
export type AttachOptions = Pick<LoadOptions, "threads" | "isa">;

/**
 * Who writes a model's weights: this process, or the one that the model is attached to, which goes on (`live`), has ended
 * between two updates, or was killed within one (`half_written`: such weights are never sampled from).
 */
export type WeightsWriter = "own" | "live" | "ended" | "half_written";

/** What a backend has allocated on its device: weights, moments, KV caches, activations. */
export interface DeviceMemory {
  /** Now. */
  activeBytes: number;
  /** At most so far. */
  peakBytes: number;
}

/** The shape of a model, as in its `config.json`. */
export interface ModelShape {
  modelType: "qwen2" | "qwen3" | "llama";
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  maxPositionEmbeddings: number;
  parameters: number;
  tiedHead: boolean;
}

export interface EngineOptions {
  /** Choices decoded together, default 64. */
  maxSequences?: number;
  /** Rows of one forward pass, prefill chunks included, default 512. */
  maxBatchTokens?: number;
  /** Prompt plus completion, default the model's `max_position_embeddings`. */
  maxContext?: number;
  /** Bytes of the KV cache, default 512 MiB. */
  kvBytes?: number;
}

export interface SamplingOptions {
  /** At least 1. Cut to what fits the context. */
  maxTokens: number;
  /** 0 is greedy; default 1. */
  temperature?: number;
  /** (0, 1], default 1. */
  topP?: number;
  /** [0, 1), default 0. */
  minP?: number;
  /** 0 is off (default). */
  topK?: number;
  /** With the choice's and the token's index decides every draw. Default 0. */
  seed?: bigint;
  stopTokenIds?: readonly number[];
  /** 0 to 20, default 0. */
  topLogprobs?: number;
  /** Completions of the one prompt, default 1. */
  choices?: number;
}

export type NativeFinishReason = "stop" | "length" | "cancelled";

/** One sampled token as it comes out of the engine. */
export interface TokenEvent {
  choice: number;
  token: number;
  logprob: number;
  /** Most likely first; empty unless asked for. */
  top: readonly { token: number; logprob: number }[];
  /** Set on a choice's last token. A choice that is cancelled ends without an event. */
  finishReason?: NativeFinishReason;
  /** Of the weights that the token was sampled under. */
  version: number;
}

export interface Completion {
  choice: number;
  tokens: Int32Array;
  logprobs: Float32Array;
  finishReason: NativeFinishReason;
  /** Tokens of the prompt that were in the prefix tree when the choice first ran; 0 where it sampled nothing. */
  cachedTokens: number;
  /** Weights version of the first and of the last token. */
  firstVersion: number;
  lastVersion: number;
  /** Per token, empty unless `topLogprobs` was asked for. */
  top: readonly (readonly { token: number; logprob: number }[])[];
}

export interface EngineStats {
  promptTokens: number;
  prefixHitTokens: number;
  prefillTokens: number;
  generatedTokens: number;
  preemptions: number;
  waiting: number;
  running: number;
  freeBlocks: number;
  totalBlocks: number;
}

export interface TrainerOptions {
  learningRate?: number;
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
  /** 0 switches clipping off; default 1. */
  maxGradNorm?: number;
  schedule?: "constant" | "linear" | "cosine";
  warmupSteps?: number;
  /** Where linear and cosine end. */
  totalSteps?: number;
  finalRatio?: number;
  /** Rows of one micro-batch, default 4096; a longer path is computed in segments of so many rows. */
  maxBatchTokens?: number;
  /**
   * What of AdamW's state lies in the host's memory instead of the card's, default "none": its moments, or the float32 master
   * weights too. The same bits either way; no effect on the CPU. Master weights go there for good, before `model.share()`.
   */
  offload?: "none" | "moments" | "moments_and_master";
  /**
   * What the backward pass computes again instead of keeping it: nothing, all but each layer's input, or, by default, that
   * only where keeping all would take more memory than the device has left. The results are the same bits.
   */
  recompute?: "auto" | "none" | "layers";
  /** Keep a frozen copy of the weights as they are now, for KL. */
  reference?: boolean;
}

export type LossPreset =
  | "ajet"
  | "agentjet"
  | "trl-grpo"
  | "trl-dapo"
  | "dr-grpo"
  | "verl-grpo"
  | "gspo"
  | "cispo"
  | "sft";

/** A preset and the options that depart from it; see the design's table. */
export interface LossOptions {
  preset: LossPreset;
  clipLow?: number;
  clipHigh?: number;
  /** 0 is off, else above 1. */
  dualClip?: number;
  cispoLow?: number;
  cispoHigh?: number;
  level?: "token" | "sequence";
  aggregation?: "token_mean" | "row_mean_token_mean" | "token_sum_fixed" | "row_mean_token_sum";
  maxResponseLength?: number;
  kl?: "none" | "k1" | "k2" | "k3";
  klCoef?: number;
  entropyCoef?: number;
  advantageScale?: "none" | "group" | "batch";
  stdDdof?: 0 | 1;
  stdEpsilon?: number;
  dropEqualGroups?: boolean;
}

/** Every choice that a loss preset makes, under the names of {@link LossOptions}. */
export type LossPresetChoices = Required<Omit<LossOptions, "preset">> & { kind: "clipped" | "cispo" | "cross_entropy" };

/** How advantages are computed; defaults are those of the preset `ajet`. */
export type AdvantageOptions = Pick<LossOptions, "advantageScale" | "stdDdof" | "stdEpsilon" | "dropEqualGroups">;

export interface Advantages {
  /** Per episode. */
  advantages: Float64Array;
  /** 0: left out of the loss and of every denominator. */
  kept: Uint8Array;
}

/** One array element a trained token. */
export interface GrpoLossInputs {
  /** Under the policy as it is. */
  logprobs: Float32Array;
  /** As recorded while sampling; not needed by `sft`. */
  oldLogprobs?: Float32Array;
  /** Under the frozen reference; needed with KL. */
  refLogprobs?: Float32Array;
  /** Needed with `entropyCoef`. */
  entropies?: Float32Array;
  /** Of the token's episode; not needed by `sft`. */
  advantages?: Float64Array;
  /** The row (merged timeline) that the token belongs to, numbered from 0. */
  rows: Int32Array;
}

export interface GrpoLoss {
  loss: number;
  policyLoss: number;
  kl: number;
  /** Weighted share of the tokens whose gradient the clip stopped. */
  clipped: number;
  ratioMax: number;
  /** Of each token in the loss, by the aggregation. */
  weights: Float64Array;
  /** d loss / d log-prob. */
  dLogprobs: Float32Array;
  /** d loss / d entropy; empty without `entropyCoef`. */
  dEntropies: Float32Array;
}

/** One call choice: the ids sent and the ids sampled after them. */
export interface TrainCall {
  /** Index into `rewards`. */
  episode: number;
  prompt: Int32Array;
  sampled: Int32Array;
  /** As recorded by the sampler; empty for supervised data. */
  logprobs: Float32Array;
  temperature: number;
  /** 0 or 1 per sampled token; absent means all 1. */
  mask?: Uint8Array;
}

export interface TrainBatch {
  calls: readonly TrainCall[];
  /** Per episode; absent for supervised batches and where `advantages` are given. */
  rewards?: Float64Array;
  /** Group (task) of each episode; as `rewards`. */
  groups?: Int32Array;
  /** Given: used as they are instead of rewards and groups. */
  advantages?: Float64Array;
  /** Forward, losses and log-probs only. */
  evaluateOnly?: boolean;
}

export type CallFate = "trained" | "merged";

export interface TrainStats {
  loss: number;
  policyLoss: number;
  kl: number;
  entropy: number;
  clipFraction: number;
  ratioMax: number;
  gradNorm: number;
  learningRate: number;
  logprobMaxAbsDiff: number;
  logprobsCompared: number;
  entries: number;
  rows: number;
  rowsLeftOut: number;
  tokensTree: number;
  /** Forward positions that were computed, those computed again included: above and within cuts, and for GSPO. */
  tokensTrained: number;
  /** Beside those: positions whose layers the backward pass computed again (`recompute`). */
  tokensRecomputed: number;
  tokensUnshared: number;
  /** Parts of the tree, a path in segments counting each. */
  microBatches: number;
  updated: boolean;
  forwardSeconds: number;
  backwardSeconds: number;
  optimizerSeconds: number;
  version: number;
  fates: CallFate[];
  advantages: Float64Array;
  episodesKept: Uint8Array;
  /** Per call choice and sampled token, flat in call order. */
  logprobs: Float32Array;
  entropies: Float32Array;
}

/** What the addon and the machine are. */
export interface NativeInfo {
  version: string;
  napiVersion: number;
  compiler: string;
  /** "avx512", "avx2" or "portable". */
  isa: string;
  isas: string[];
  cores: number;
  cuda: CudaInfo;
}

export interface CudaInfo {
  /** Whether `libajet_cuda` lies beside the addon and loads. */
  built: boolean;
  available: boolean;
  /** Why it is not available; else empty. */
  reason: string;
  /** As CUDA counts: 13000 is 13.0; 0 where no driver answers. */
  driverVersion: number;
  /** That the library was built with. */
  runtimeVersion: number;
  /** That the library has code for. */
  architectures: string;
  /** The cuBLASLt that gradient products use, or why there is none. */
  cublasLt: string;
  cublasLtFound: boolean;
  devices: CudaDevice[];
}

export interface CudaDevice {
  name: string;
  memoryBytes: number;
  /** "9.0" */
  computeCapability: string;
  /** Why it cannot be used; empty where it can. */
  problem: string;
}
