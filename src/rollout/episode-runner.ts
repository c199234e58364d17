import type { BaseUrlAndKey } from "../agent/tuner.js";
import { AbortError } from "../native/errors.js";
import type { PromptFork, RunningServer } from "../serve/contract.js";
import type { AgentRoutes } from "./agent-routes.js";
import { orderCalls, orderForks } from "./call-order.js";
import type { CallRecord, DropReason } from "./call-record.js";
import type {
  DroppedCall,
  EpisodeExecutor,
  EpisodeFailure,
  EpisodeOutcome,
  EpisodeRequest,
  EpisodeResult,
  FailureKind,
} from "./episode.js";
import { episodeUuid, newApiKey, sessionSeed } from "./episode-identity.js";
import { traceOf } from "./episode-trace.js";
import { type FinishedEpisode, GroupJudging } from "./group-judging.js";
import { asJudgeFailure, JobLimit } from "./job-limit.js";
import { type MadnessOptions, MadnessWatch } from "./madness-watch.js";

export interface EpisodeRunnerOptions {
  server: RunningServer;
  executor: EpisodeExecutor;
  runSeed: number | bigint | string;
  /** Episodes at once. */
  maxParallel: number;
  /** Of one attempt; Infinity for none. */
  timeoutMs: number;
  /** Of one judging, its repetitions included; Infinity for none. */
  judgeTimeoutMs?: number;
  /** Agents outside have so long to take an episode; its own limit starts when one has. */
  agentWaitMs?: number;
  /** Where agents go that are not trained; absent: all are trained. */
  untrained?: UntrainedAgents;
  /** Runs of an episode that fails, before it is dropped. */
  maxAttempts: number;
  /** Absent: nothing is looked for. */
  madness?: MadnessOptions;
}

/** Agents that are not trained, and what answers them: a server with frozen weights, or an endpoint outside. */
export interface UntrainedAgents {
  trainableTargets: readonly string[];
  server?: RunningServer;
  outside?: BaseUrlAndKey;
}

/** What a batch of episodes is run for. */
export interface RolloutPhase {
  mode: "train" | "eval";
  /** Keeps the draws of evaluations apart, e.g. `eval/validation/greedy`; default the mode. */
  purpose?: string;
  /** From 1; 0 before training. */
  step: number;
  /** Where a request names none; in training, also where it names another. */
  temperature: number;
  /** Where a request names none. */
  maxTokens: number;
}

export interface RolloutCallbacks {
  onEpisode?: (result: EpisodeResult, done: number, total: number) => void;
  /** Ends the batch: {@link EpisodeRunner.run} rejects with an AbortError. */
  signal?: AbortSignal;
}

/** Why the calls of a failed attempt are not trained. */
const DROP_REASONS: Record<FailureKind, DropReason> = {
  workflow: "episode_failed",
  exited: "episode_failed",
  stalled: "episode_timeout",
  timeout: "episode_timeout",
  judge: "judge_failed",
};

/** An attempt: what the executor made of it, and what the server recorded. */
interface Attempt {
  outcome: EpisodeOutcome;
  calls: CallRecord[];
  forks: PromptFork[];
  wallMs: number;
}

/** Runs episodes: opens a session for each, has workflow and judge run, closes it, and tries again what failed. */
export class EpisodeRunner {
  constructor(private readonly options: EpisodeRunnerOptions) {}

  /** Results in the order of the requests. A failing episode is a result with `error`. */
  async run(
    requests: readonly EpisodeRequest[],
    phase: RolloutPhase,
    callbacks: RolloutCallbacks = {},
  ): Promise<EpisodeResult[]> {
    const { executor, judgeTimeoutMs = Number.POSITIVE_INFINITY } = this.options;
    const judging = new GroupJudging(requests, executor, judgeTimeoutMs);
    const results: EpisodeResult[] = new Array(requests.length);
    let next = 0;
    let done = 0;
    const lane = async () => {
      for (let index = next++; index < requests.length; index = next++) {
        const finished = await this.runEpisode(requests[index] as EpisodeRequest, phase, callbacks.signal);
        for (const [place, result] of await judging.add(index, finished, callbacks.signal)) {
          results[place] = result;
          callbacks.onEpisode?.(result, ++done, requests.length);
        }
      }
    };
    const lanes = Math.min(this.options.maxParallel, requests.length);
    const ends = await Promise.allSettled(Array.from({ length: lanes }, lane));
    for (const end of ends) if (end.status === "rejected") throw end.reason;
    // Episodes that it ended look like failures.
    if (callbacks.signal?.aborted) {
      throw new AbortError("The rollout was cancelled", { cause: callbacks.signal.reason });
    }
    return results;
  }

  private async runEpisode(
    { task, sample }: EpisodeRequest,
    phase: RolloutPhase,
    signal: AbortSignal | undefined,
  ): Promise<FinishedEpisode> {
    const droppedCalls: DroppedCall[] = [];
    const retried: EpisodeFailure[] = [];
    const unrepeatable: string[] = [];
    let alone = false;
    for (let attempt = 1; ; ) {
      if (signal?.aborted) throw new AbortError("The rollout was cancelled", { cause: signal.reason });
      const identity = { runSeed: this.options.runSeed, purpose: phase.purpose ?? phase.mode, step: phase.step };
      const uuid = episodeUuid({ ...identity, taskId: task.taskId, sample, attempt });
      const { outcome, calls, forks, wallMs } = await this.attempt({ task, sample }, uuid, phase, alone, signal);
      const drop = (reason: DropReason) => droppedCalls.push(...calls.map((call) => ({ call, reason })));
      if (outcome.kind === "interrupted") {
        // Not this episode's fault: the same attempt again, with the same draws.
        drop("episode_rerun");
        alone ||= outcome.alone;
        continue;
      }
      unrepeatable.push(...outcome.unrepeatable, ...cutByClock(outcome, calls));
      const common = { uuid, task, sample, forks, droppedCalls, attempts: attempt, retried, unrepeatable, wallMs };
      if (outcome.kind === "scored") return { result: { ...common, ...outcome.score, calls } };
      if (outcome.kind === "unjudged") {
        const { output } = outcome;
        const { metadata, logMetrics = {} } = output;
        const workflowTask = { task, episodeUuid: uuid, sample, step: phase.step, mode: phase.mode };
        const result = { ...common, reward: 0, isSuccess: false, metadata, logMetrics, calls };
        return { result, toJudge: { workflowTask, output, ...traceOf(calls) } };
      }
      const { kind, message } = outcome.failure;
      drop(DROP_REASONS[kind]);
      if (kind === "timeout" || kind === "stalled") unrepeatable.push(message);
      // The judge has had its repetitions; another run of the episode would be another episode.
      if (kind === "judge" || attempt >= this.options.maxAttempts) {
        const nothing = { reward: 0, isSuccess: false, metadata: {}, logMetrics: {}, calls: [] };
        return { result: { ...common, ...nothing, error: outcome.failure } };
      }
      retried.push(outcome.failure);
      // What took its thread down once is kept from the others.
      alone ||= kind === "stalled" || kind === "exited";
      attempt++;
    }
  }

  private async attempt(
    { task, sample }: EpisodeRequest,
    uuid: string,
    phase: RolloutPhase,
    alone: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Attempt> {
    const { server, executor, timeoutMs, judgeTimeoutMs = Number.POSITIVE_INFINITY, untrained } = this.options;
    const { agentWaitMs = timeoutMs } = this.options;
    const apiKey = newApiKey();
    const calls: CallRecord[] = [];
    const start = performance.now();
    using limit = new JobLimit(signal);
    const onStart = () => limit.start("The episode", timeoutMs);
    const isTraining = phase.mode === "train";
    const session = {
      apiKey,
      seed: sessionSeed(uuid),
      defaults: { temperature: phase.temperature, topP: 1, topK: 0, minP: 0, maxTokens: phase.maxTokens },
    };
    let ending: Promise<void> | undefined;
    const watch = new MadnessWatch(this.options.madness, () => {
      ending = server.close(apiKey);
      return opened.inFlight;
    });
    const opened = server.open({
      ...session,
      training: isTraining,
      forceTemperature: isTraining,
      record: (call) => {
        calls.push(call);
        watch.onCall(call);
      },
      onContextOverflow: () => watch.onContextOverflow(),
      onEpisode: (event) =>
        event === "taken" ? onStart() : limit.start("Waiting for an agent to take the episode", agentWaitMs),
    });
    untrained?.server?.open({
      ...session,
      training: false,
      forceTemperature: false,
      record: (call) => calls.push({ ...call, dropReason: call.dropReason ?? "not_trainable" }),
    });
    let isJudged = false;
    const beginJudging = () => {
      isJudged = !limit.signal.aborted; // else the episode's time was up while it told of its end
      limit.start("The judge", judgeTimeoutMs);
      return traceOf(orderCalls(calls));
    };
    let outcome: EpisodeOutcome;
    try {
      const workflowTask = { task, episodeUuid: uuid, sample, step: phase.step, mode: phase.mode };
      const routes = untrained && routesOf(untrained, apiKey);
      const job = { workflowTask, baseUrl: server.baseUrl, apiKey, routes, alone, onStart, beginJudging };
      outcome = await executor.execute(job, limit.signal);
      if (isJudged && outcome.kind === "failed") outcome = asJudgeFailure(outcome);
    } finally {
      // Ends what is in flight, so that nothing is recorded any more.
      await Promise.all([ending, server.close(apiKey), untrained?.server?.close(apiKey)]);
    }
    const judged = watch.judge(outcome);
    return {
      outcome: judged,
      calls: orderCalls(calls),
      forks: orderForks(opened.forks),
      wallMs: performance.now() - start,
    };
  }
}

/** What the workflow, or its end, cancelled would have been trained had it been faster. A mad episode's end is told elsewhere. */
function cutByClock(outcome: EpisodeOutcome, calls: readonly CallRecord[]): string[] {
  const isKept = outcome.kind === "unjudged" || (outcome.kind === "scored" && outcome.score.madness === undefined);
  const isCut = isKept && calls.some(({ dropReason }) => dropReason === "cancelled");
  return isCut ? ["A call was cancelled before its reply was whole"] : [];
}

function routesOf({ trainableTargets, server, outside }: UntrainedAgents, apiKey: string): AgentRoutes | undefined {
  if (outside !== undefined) return { trainableTargets, others: outside, isOutside: true };
  if (server === undefined) return undefined;
  return { trainableTargets, others: { baseUrl: server.baseUrl, apiKey, model: "ajet" }, isOutside: false };
}
