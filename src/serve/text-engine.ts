import type { Engine } from "../native/engine.js";
import type {
  Completion,
  EngineStats,
  ModelShape,
  SamplingOptions,
  TokenEvent,
  WeightsWriter,
} from "../native/types.js";

/** What the server asks of an engine; `textEngine` makes one of an `Engine`. */
export interface TextEngine {
  generate(
    promptIds: Int32Array,
    options: SamplingOptions & {
      signal?: AbortSignal;
      /** `endChoice` ends one choice, whose completion then has its tokens so far. */
      onTokens?: (events: readonly TokenEvent[], endChoice: (choice: number) => void) => void;
      /** Resolve with what there is, instead of rejecting, when `signal` aborts. */
      keepPartial?: boolean;
    },
  ): Promise<Completion[]>;
  /** Weights version that the next token is sampled under. */
  version(): number;
  /** Who writes the weights; absent: this process. */
  writer?(): WeightsWriter;
  readonly shape: Pick<ModelShape, "vocabSize" | "maxPositionEmbeddings">;
  /** Prompt plus completion. */
  readonly maxContext: number;
  stats?(): EngineStats | Promise<EngineStats>;
}

/** The server's view of an engine and the weights that it samples from. */
export function textEngine(engine: Engine): TextEngine {
  return {
    generate: (promptIds, options) => engine.generate(promptIds, options),
    version: () => engine.model.version,
    writer: () => engine.model.writer,
    shape: engine.model.shape,
    maxContext: engine.maxContext,
    stats: () => engine.stats(),
  };
}
