import type { NativeCompletions, NativeTokenEvents } from "./addon-types.js";
import type { Completion, NativeFinishReason, TokenEvent } from "./types.js";

/** By `FinishReason` of native/infer/request.h; 0 is "goes on". */
const FINISH_REASONS: readonly (NativeFinishReason | undefined)[] = [undefined, "stop", "length", "cancelled"];

type TopLogprobs = readonly { token: number; logprob: number }[];

function topLogprobs(tokens: Int32Array, logprobs: Float32Array, first: number, end: number): TopLogprobs {
  const top: { token: number; logprob: number }[] = [];
  for (let i = first; i < end; i++) top.push({ token: tokens[i] as number, logprob: logprobs[i] as number });
  return top;
}

/** One completion a choice, from the flat arrays of a request. */
export function decodeCompletions(native: NativeCompletions): Completion[] {
  const perToken = native.tokens.length === 0 ? 0 : native.topTokens.length / native.tokens.length;
  return Array.from(native.finishes, (finish, choice) => {
    const first = native.offsets[choice] as number;
    const end = native.offsets[choice + 1] as number;
    const top: TopLogprobs[] = [];
    for (let i = first; perToken > 0 && i < end; i++) {
      top.push(topLogprobs(native.topTokens, native.topLogprobs, i * perToken, (i + 1) * perToken));
    }
    return {
      choice,
      tokens: native.tokens.slice(first, end),
      logprobs: native.logprobs.slice(first, end),
      finishReason: FINISH_REASONS[finish] as NativeFinishReason,
      cachedTokens: native.cachedTokens[choice] as number,
      firstVersion: native.firstVersions[choice] as number,
      lastVersion: native.lastVersions[choice] as number,
      top,
    };
  });
}

/** The events of one engine step by request, in order. Ends without a token are left to the completion. */
export function decodeTokenEvents(native: NativeTokenEvents): Map<number, TokenEvent[]> {
  const byRequest = new Map<number, TokenEvent[]>();
  native.requests.forEach((request, i) => {
    const token = native.tokens[i] as number;
    if (token < 0) return;
    const finishReason = FINISH_REASONS[native.finishes[i] as number];
    const event: TokenEvent = {
      choice: native.choices[i] as number,
      token,
      logprob: native.logprobs[i] as number,
      top: topLogprobs(
        native.topTokens,
        native.topLogprobs,
        native.topOffsets[i] as number,
        native.topOffsets[i + 1] as number,
      ),
      version: native.versions[i] as number,
      ...(finishReason === undefined ? {} : { finishReason }),
    };
    const events = byRequest.get(request);
    if (events === undefined) byRequest.set(request, [event]);
    else events.push(event);
  });
  return byRequest;
}
