import { types } from "node:util";
import type { NativeCalls } from "./addon-types.js";
import { invalidArgument } from "./native-call.js";
import type { TrainCall } from "./types.js";

/** A call choice as far as the token tree needs it; what is absent has no influence on it. */
export type TreeCall = Pick<TrainCall, "episode" | "prompt" | "sampled" | "mask"> &
  Partial<Pick<TrainCall, "logprobs" | "temperature">>;

const NO_LOGPROBS = new Float32Array(0);

/** Lays the calls' ragged arrays one after the other. Lengths are checked here; values are checked by the addon. */
export function flattenCalls(op: string, calls: readonly TreeCall[]): NativeCalls {
  if (!Array.isArray(calls)) throw invalidArgument(op, "an array", "calls", calls);
  for (const [index, call] of calls.entries()) checkCall(op, `calls[${index}]`, call);
  const prompts = concatenate(
    Int32Array,
    calls.map((call) => call.prompt),
  );
  const sampled = concatenate(
    Int32Array,
    calls.map((call) => call.sampled),
  );
  const logprobs = concatenate(
    Float32Array,
    calls.map((call) => call.logprobs ?? NO_LOGPROBS),
  );
  const flat: NativeCalls = {
    episodes: Int32Array.from(calls, (call) => call.episode),
    temperatures: Float32Array.from(calls, (call) => call.temperature ?? 1),
    promptOffsets: prompts.offsets,
    prompts: prompts.values,
    sampledOffsets: sampled.offsets,
    sampled: sampled.values,
    logprobOffsets: logprobs.offsets,
    logprobs: logprobs.values,
  };
  if (calls.some((call) => call.mask !== undefined)) {
    const masks = calls.map((call) => call.mask ?? new Uint8Array(call.sampled.length).fill(1));
    flat.masks = concatenate(Uint8Array, masks).values;
  }
  return flat;
}

function checkCall(op: string, name: string, call: TreeCall): void {
  const { episode, prompt, sampled, logprobs, temperature, mask } = call;
  if (!Number.isInteger(episode) || episode < 0 || episode > 0x7fffffff) {
    throw invalidArgument(op, "an integer >= 0", `${name}.episode`, episode);
  }
  if (!types.isInt32Array(prompt)) throw invalidArgument(op, "an Int32Array", `${name}.prompt`, prompt);
  if (prompt.length === 0) throw invalidArgument(op, "at least 1 token", `${name}.prompt`, 0);
  if (!types.isInt32Array(sampled)) throw invalidArgument(op, "an Int32Array", `${name}.sampled`, sampled);
  if (temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0)) {
    throw invalidArgument(op, "a finite number >= 0", `${name}.temperature`, temperature);
  }
  if (logprobs !== undefined && !types.isFloat32Array(logprobs)) {
    throw invalidArgument(op, "a Float32Array", `${name}.logprobs`, logprobs);
  }
  if (logprobs !== undefined && logprobs.length !== 0 && logprobs.length !== sampled.length) {
    throw invalidArgument(op, `${sampled.length} values (or none)`, `${name}.logprobs`, logprobs.length);
  }
  if (mask !== undefined && !types.isUint8Array(mask)) throw invalidArgument(op, "a Uint8Array", `${name}.mask`, mask);
  if (mask !== undefined && mask.length !== sampled.length) {
    throw invalidArgument(op, `${sampled.length} values`, `${name}.mask`, mask.length);
  }
}

type FlatArray = Int32Array | Float32Array | Uint8Array;

function concatenate<T extends FlatArray>(
  ArrayType: new (length: number) => T,
  parts: readonly T[],
): { offsets: Int32Array; values: T } {
  const offsets = new Int32Array(parts.length + 1);
  parts.forEach((part, index) => {
    offsets[index + 1] = (offsets[index] as number) + part.length;
  });
  const values = new ArrayType(offsets[parts.length] as number);
  parts.forEach((part, index) => {
    values.set(part, offsets[index]);
  });
  return { offsets, values };
}
