import type { AjetConfig } from "../config/schema.js";
import type { TrainStats } from "../native/types.js";
import type { EpisodeMark } from "../report/token-log/types.js";
import { TokenLogWriter } from "../report/token-log/writer.js";
import type { CallToWrite, EpisodeToWrite, GroupToWrite } from "../report/token-log/written.js";
import type { CallRecord, CallVerdict } from "../rollout/call-record.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { callsTool, episodeMarks } from "./episode-marks.js";
import type { StepBatch } from "./train-batch.js";
import { taskTag } from "./validation-metrics.js";

/** What a step leaves to be logged. */
export interface LoggableStep {
  step: number;
  results: readonly EpisodeResult[];
  /** Group (task) of each result, ascending. */
  groups: readonly number[];
  batch: StepBatch;
  /** Absent where nothing was trained. */
  stats: TrainStats | undefined;
  /** How each call that is not dropped with its attempt ended. */
  verdicts: ReadonlyMap<CallRecord, CallVerdict>;
}

/** Opens a run's token log and removes the steps after `lastStep`. @throws FileError */
export async function openTokenLog(
  folder: string,
  lastStep: number,
  { trainer_common: { token_log } }: AjetConfig,
  tokenizer: Tokenizer,
): Promise<TokenLog> {
  const options = {
    lastStep,
    tokenBytes: (id: number) => tokenizer.bytes(id),
    keepSteps: token_log.keep_steps,
    maxBytes: token_log.max_mb * 2 ** 20,
  };
  return new TokenLog(await TokenLogWriter.open(folder, options));
}

/** Every episode of a run's steps, token by token. See docs/token-log.md. */
export class TokenLog {
  constructor(private readonly writer: TokenLogWriter) {}

  /** @throws FileError */
  write({ step, results, groups, batch, stats, verdicts }: LoggableStep): void {
    const entropies = entropiesByCall(batch, stats);
    const advantages = new Map(batch.episodes.map((episode, i) => [episode, stats?.advantages[i]]));
    const usesTools = results.some(({ calls }) => callsTool(calls));
    const byGroup = new Map<number, { taskId: string; episodes: EpisodeToWrite[] }>();
    for (const [i, result] of results.entries()) {
      const group = groups[i] as number;
      const { taskId } = result.task;
      const written = byGroup.get(group) ?? { taskId, episodes: [] };
      byGroup.set(group, written);
      const marks = episodeMarks(callsOf(result), usesTools);
      written.episodes.push(episodeToWrite(result, marks, advantages.get(result) ?? null, verdicts, entropies));
    }
    this.writer.append(step, [...byGroup.values()] satisfies GroupToWrite[]);
  }

  close(): void {
    this.writer.close();
  }
}

const LEFT_OUT: CallVerdict = { fate: "dropped", reason: "group_left_out" };
const NO_ENTROPIES = new Float32Array(0);

/** Those of the attempt that counted, then those of the others. */
function callsOf({ calls, droppedCalls }: EpisodeResult): CallRecord[] {
  return [...calls, ...droppedCalls.map(({ call }) => call)];
}

function episodeToWrite(
  result: EpisodeResult,
  marks: readonly EpisodeMark[],
  advantage: number | null,
  verdicts: ReadonlyMap<CallRecord, CallVerdict>,
  entropies: ReadonlyMap<CallRecord, Float32Array>,
): EpisodeToWrite {
  const dropped = new Map(result.droppedCalls.map(({ call, reason }) => [call, reason]));
  const calls = callsOf(result);
  const start = Math.min(...calls.map(({ startedMs = Number.POSITIVE_INFINITY }) => startedMs));
  return {
    header: {
      sample: result.sample,
      reward: result.error ? null : result.reward,
      success: result.isSuccess,
      tag: taskTag(result),
      advantage,
      dropped: result.error?.kind ?? null,
      marks,
      attempts: result.attempts,
      wallMs: result.wallMs,
    },
    uuid: result.uuid,
    reason: result.reason,
    rewardParts: result.parts ?? {},
    metadata: result.metadata,
    logMetrics: result.logMetrics,
    madness: result.madness,
    failure: result.error,
    retried: result.retried,
    unrepeatable: result.unrepeatable,
    forks: result.forks,
    calls: calls.map((call) => {
      const reason = dropped.get(call);
      const verdict = reason === undefined ? verdicts.get(call) : ({ fate: "dropped", reason } as const);
      return callToWrite(call, verdict ?? LEFT_OUT, advantage, entropies.get(call) ?? NO_ENTROPIES, start);
    }),
  };
}

function callToWrite(
  call: CallRecord,
  verdict: CallVerdict,
  advantage: number | null,
  entropies: Float32Array,
  start: number,
): CallToWrite {
  const inLoss = verdict.fate !== "dropped";
  const since = (at: number | undefined) => (at === undefined ? undefined : Math.round((at - start) * 10) / 10);
  return {
    callId: call.callId,
    choice: call.choice,
    agent: call.agent,
    verdict,
    finishReason: call.finishReason,
    temperature: call.temperature,
    firstVersion: call.firstVersion,
    lastVersion: call.lastVersion,
    repetition: call.repetition,
    promptIds: call.promptIds,
    sampledIds: call.sampledIds,
    logprobs: call.logprobs,
    entropies,
    inLoss,
    advantage: inLoss ? advantage : null,
    messages: call.messages,
    reply: call.reply,
    startMs: since(call.startedMs),
    endMs: since(call.endedMs),
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
