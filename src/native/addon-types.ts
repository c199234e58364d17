/** The whole surface of the addon, function by function, as native/binding/addon.cpp exports it. */
import type { MemoryPlan, MemoryPlanOptions } from "./memory-plan.js";
import type {
  AdvantageOptions,
  Advantages,
  AttachOptions,
  DeviceMemory,
  EngineOptions,
  EngineStats,
  GrpoLoss,
  GrpoLossInputs,
  LoadOptions,
  LossOptions,
  LossPreset,
  LossPresetChoices,
  ModelShape,
  NativeInfo,
  SamplingOptions,
  TrainerOptions,
  TrainStats,
  WeightsWriter,
} from "./types.js";

declare const kind: unique symbol;
export interface ModelHandle {
  readonly [kind]: "model";
}
export interface EngineHandle {
  readonly [kind]: "engine";
  /** Called at most once an engine step with the events of all streaming requests. Must not throw. */
  onTokens?: (events: NativeTokenEvents) => void;
}
export interface TrainerHandle {
  readonly [kind]: "trainer";
}

export type NativeModelShape = ModelShape & { device: string; deviceDescription: string; whyNotCuda: string };

/** Finish reasons as numbers: `FINISH_REASONS` of completions.ts. One array element an event; token -1: none. */
export interface NativeTokenEvents {
  requests: Float64Array;
  choices: Int32Array;
  tokens: Int32Array;
  logprobs: Float32Array;
  finishes: Uint8Array;
  versions: Float64Array;
  /** [events + 1], into the two below. */
  topOffsets: Int32Array;
  topTokens: Int32Array;
  topLogprobs: Float32Array;
}

/** All choices of a request, one after the other. */
export interface NativeCompletions {
  /** [choices + 1], into tokens and logprobs. */
  offsets: Int32Array;
  tokens: Int32Array;
  logprobs: Float32Array;
  /** [choices] */
  finishes: Uint8Array;
  cachedTokens: Int32Array;
  firstVersions: Float64Array;
  lastVersions: Float64Array;
  /** [tokens, topLogprobs] */
  topTokens: Int32Array;
  topLogprobs: Float32Array;
}

/** Call choices as flat arrays with offsets; made by call-arrays.ts. */
export interface NativeCalls {
  episodes: Int32Array;
  temperatures: Float32Array;
  promptOffsets: Int32Array;
  prompts: Int32Array;
  sampledOffsets: Int32Array;
  sampled: Int32Array;
  logprobOffsets: Int32Array;
  logprobs: Float32Array;
  masks?: Uint8Array;
}

export interface NativeBatch {
  calls: NativeCalls;
  rewards?: Float64Array;
  groups?: Int32Array;
  advantages?: Float64Array | undefined;
  evaluateOnly?: boolean | undefined;
}

/** 0 trained, 1 merged. */
export type NativeTrainStats = Omit<TrainStats, "fates"> & { fates: Uint8Array };

export interface NativeLossMask {
  /** [rows + 1], into tokens and mask. */
  offsets: Int32Array;
  tokens: Int32Array;
  mask: Uint8Array;
  /** [rows] */
  episodes: Int32Array;
  /** [calls]; 0 trained, 1 merged. */
  fates: Uint8Array;
}

export interface NativeAddon {
  info(): NativeInfo;

  loadModel(dir: string, options: LoadOptions): Promise<ModelHandle>;
  createModel(configJson: string, seed: bigint, options: LoadOptions): Promise<ModelHandle>;
  attachModel(segment: string, options: AttachOptions): Promise<ModelHandle>;
  /** The path of the segment. */
  modelShare(model: ModelHandle): Promise<string>;
  modelWriter(model: ModelHandle): WeightsWriter;
  modelMemory(model: ModelHandle): Promise<DeviceMemory>;
  modelShape(model: ModelHandle): NativeModelShape;
  modelVersion(model: ModelHandle): number;
  modelWeightNames(model: ModelHandle): string[];
  modelSave(model: ModelHandle, dir: string, dtype: string): Promise<void>;
  modelReadWeight(model: ModelHandle, name: string): Promise<Float32Array>;
  modelWriteWeight(model: ModelHandle, name: string, values: Float32Array, bumpVersion: boolean): Promise<void>;
  modelDispose(model: ModelHandle): Promise<void>;

  createEngine(model: ModelHandle, options: EngineOptions): Promise<EngineHandle>;
  /** `request` is unique among the engine's live requests. */
  engineGenerate(
    engine: EngineHandle,
    request: number,
    promptIds: Int32Array,
    options: SamplingOptions,
    streaming: boolean,
  ): Promise<NativeCompletions>;
  /** Ends the request's choices, or one of them; its promise resolves with what there is once all have ended. */
  engineCancel(engine: EngineHandle, request: number, choice?: number): void;
  engineCancelAll(engine: EngineHandle): Promise<void>;
  engineStats(engine: EngineHandle): EngineStats;
  engineMaxContext(engine: EngineHandle): number;
  engineResetPrefixCache(engine: EngineHandle): Promise<void>;
  engineDispose(engine: EngineHandle): Promise<void>;

  createTrainer(model: ModelHandle, options: TrainerOptions): Promise<TrainerHandle>;
  /** `step` is a number of the caller's choice, for trainerAbortStep. */
  trainerStep(trainer: TrainerHandle, step: number, batch: NativeBatch, loss: LossOptions): Promise<NativeTrainStats>;
  trainerAbortStep(trainer: TrainerHandle, step: number): void;
  trainerScore(
    trainer: TrainerHandle,
    calls: NativeCalls,
    reference: boolean,
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }>;
  trainerStepsDone(trainer: TrainerHandle): number;
  trainerSaveState(trainer: TrainerHandle, dir: string): Promise<void>;
  trainerLoadState(trainer: TrainerHandle, dir: string): Promise<void>;
  trainerDispose(trainer: TrainerHandle): Promise<void>;

  planMemory(configJson: string, options: MemoryPlanOptions): MemoryPlan;

  computeAdvantages(rewards: Float64Array, groups: Int32Array, options: AdvantageOptions): Advantages;
  grpoLoss(inputs: GrpoLossInputs, options: Partial<LossOptions>): GrpoLoss;
  lossMask(calls: NativeCalls): NativeLossMask;
  lossPresets(): Record<LossPreset, LossPresetChoices>;
}
