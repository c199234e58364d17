import { AbortError } from "../../src/native/errors.js";
import type { Completion, NativeFinishReason, TokenEvent } from "../../src/native/types.js";
import type { TextEngine } from "../../src/serve/text-engine.js";
import type { Tokenizer } from "../../src/text/tokenizer.js";

type GenerateOptions = Parameters<TextEngine["generate"]>[1];

/** One call as the server made it. */
export interface SeenCall {
  promptIds: Int32Array;
  options: GenerateOptions;
  /** Tokens of each choice so far. */
  sampled: number[];
}

/** The tokens to "sample" for a call's choice. */
export type Script = (call: SeenCall, choice: number, callIndex: number) => readonly number[];

/**
 * An engine that replays token ids, for the cases that no model can be asked for: odd white space, malformed calls,
 * token borders inside characters. What the server makes of a real engine's tokens is tested in real-engine.test.ts.
 */
export class ScriptedEngine implements TextEngine {
  readonly calls: SeenCall[] = [];
  readonly shape;
  maxContext = 4096;
  /** Tokens of one event batch. */
  batch = 1;
  /** Waited between batches; a test can hold the engine here. */
  gate: () => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));

  constructor(
    private readonly tokenizer: Tokenizer,
    public script: Script,
  ) {
    this.shape = { vocabSize: tokenizer.vocabSize, maxPositionEmbeddings: 4096 };
  }

  version(): number {
    return 3;
  }

  async generate(promptIds: Int32Array, options: GenerateOptions): Promise<Completion[]> {
    const call: SeenCall = { promptIds, options, sampled: [] };
    const index = this.calls.push(call) - 1;
    const scripts = Array.from({ length: options.choices ?? 1 }, (_, choice) => this.script(call, choice, index));
    const states = scripts.map((ids) => ({ ids, length: 0, finish: undefined as NativeFinishReason | undefined }));
    while (states.some((state) => state.finish === undefined)) {
      await this.gate();
      if (options.signal?.aborted) {
        if (options.keepPartial !== true) throw new AbortError("aborted");
        for (const state of states) state.finish ??= "cancelled";
        break;
      }
      const events: TokenEvent[] = [];
      for (const [choice, state] of states.entries()) {
        for (let i = 0; i < this.batch && state.finish === undefined; i++) {
          const token = state.ids[state.length++] as number;
          const isEnd = options.stopTokenIds?.includes(token) ?? false;
          if (isEnd) state.finish = "stop";
          else if (state.length >= Math.min(options.maxTokens, state.ids.length)) state.finish = "length";
          events.push({
            choice,
            token,
            logprob: logprobOf(state.length - 1),
            version: 3,
            top: this.top(token, options),
            ...(state.finish === undefined ? {} : { finishReason: state.finish }),
          });
        }
      }
      call.sampled = states.map(({ length }) => length);
      options.onTokens?.(events, (choice) => {
        const state = states[choice];
        if (state !== undefined) state.finish ??= "cancelled";
      });
    }
    return states.map(({ ids, length, finish }, choice) => ({
      choice,
      tokens: Int32Array.from(ids.slice(0, length)),
      logprobs: Float32Array.from({ length }, (_, i) => logprobOf(i)),
      finishReason: finish as NativeFinishReason,
      cachedTokens: Math.floor(promptIds.length / 2),
      firstVersion: 3,
      lastVersion: 3,
      top: options.topLogprobs ? ids.slice(0, length).map((token) => this.top(token, options)) : [],
    }));
  }

  private top(token: number, options: GenerateOptions): { token: number; logprob: number }[] {
    return Array.from({ length: options.topLogprobs ?? 0 }, (_, i) => ({
      token: (token + i) % this.tokenizer.vocabSize,
      logprob: -0.5 - i,
    }));
  }
}

/** Different at every position, and exact in float32. */
export function logprobOf(index: number): number {
  return -0.5 - index / 64;
}
