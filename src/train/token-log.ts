import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { TrainStats } from "../native/types.js";
import type { CallRecord, CallVerdict } from "../rollout/call-record.js";
import type { EpisodeResult } from "../rollout/episode.js";
import { writeFileAtomically } from "./atomic-file.js";
import type { StepBatch } from "./train-batch.js";
import { taskTag } from "./validation-metrics.js";

/** `tokens/step_N.jsonl`: every episode of a step, token by token, one JSON object an episode. */
export class TokenLog {
  readonly #folder: string;

  /** Removes the steps after `lastStep`: a resumed run writes them again. */
  constructor(folder: string, lastStep: number) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) {
      const step = /^step_(\d+)\.jsonl$/.exec(name)?.[1];
      if (step === undefined || Number(step) > lastStep) rmSync(join(folder, name));
    }
  }

  /** @param verdicts How each call that is not dropped with its attempt ended. */
  write(
    step: number,
    results: readonly EpisodeResult[],
    batch: StepBatch,
    stats: TrainStats | undefined,
    verdicts: ReadonlyMap<CallRecord, CallVerdict>,
  ): void {
    const entropies = entropiesByCall(batch, stats);
    const advantages = new Map(batch.episodes.map((episode, i) => [episode, stats?.advantages[i]]));
    const lines = results.map((result) =>
      JSON.stringify({
        step,
        task_id: result.task.taskId,
        sample: result.sample,
        reward: result.error ? null : result.reward,
        success: result.isSuccess,
        task_tag: taskTag(result),
        advantage: advantages.get(result) ?? null,
        reason: result.reason,
        dropped: result.error,
        attempts: result.attempts,
        forks: result.forks.map(({ messageIndex, field }) => ({ message: messageIndex, field })),
        calls: [
          ...result.calls.map((call) => callLine(call, verdicts.get(call), entropies.get(call))),
          ...result.droppedCalls.map(({ call, reason }) => callLine(call, { fate: "dropped", reason }, undefined)),
        ],
      }),
    );
    writeFileAtomically(join(this.#folder, `step_${step}.jsonl`), `${lines.join("\n")}\n`);
  }
}

function callLine(call: CallRecord, verdict: CallVerdict | undefined, entropies: Float32Array | undefined): object {
  return {
    call_id: call.callId,
    agent: call.agent,
    verdict,
    temperature: call.temperature,
    version: call.firstVersion,
    finish_reason: call.finishReason,
    prompt_ids: [...call.promptIds],
    sampled_ids: [...call.sampledIds],
    logprobs: rounded(call.logprobs),
    entropies: rounded(entropies ?? new Float32Array(0)),
    messages: call.messages,
    reply: call.reply,
  };
}

function entropiesByCall(batch: StepBatch, stats: TrainStats | undefined): Map<CallRecord, Float32Array> {
  const entropies = new Map<CallRecord, Float32Array>();
  let offset = 0;
  for (const { call } of batch.selection.trainable) {
    const end = offset + call.sampledIds.length;
    if (stats) entropies.set(call, stats.entropies.subarray(offset, end));
    offset = end;
  }
  return entropies;
}

/** Five digits are enough to look at. */
function rounded(values: Float32Array): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? Number(value.toPrecision(5)) : null));
}
