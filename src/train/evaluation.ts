import type { Task } from "../agent/task.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { GuardedRunner } from "./guarded-runner.js";
import { type ValidationCounts, validationCounts, validationMetrics } from "./validation-metrics.js";

/** Success over a set of tasks. Dropped episodes count as failures. */
export interface SetResult extends ValidationCounts {
  tasks: number;
  episodes: number;
  episodes_dropped: number;
  success_rate: number;
  /** Share of the tasks that at least one of their episodes solved: pass@k, k episodes a task. */
  solved_rate: number;
  mean_reward: number;
}

/** Validation as it is sampled in training, greedily, and both on the tasks of unseen templates. */
export interface EvaluationResult {
  sampled: SetResult;
  greedy: SetResult;
  unseen_sampled?: SetResult;
  unseen_greedy?: SetResult;
}

/** The held-out tasks of a run. */
export interface EvaluationTasks {
  validation: Task[];
  unseen: Task[];
}

/** How an evaluation decodes. */
export type Decoding = "sampled" | "greedy";

/** How tasks are evaluated. */
export interface EvaluationOptions {
  /** Updates before it. */
  step: number;
  /** Of the sampled evaluations. */
  temperature: number;
  /** Episodes a task in the sampled evaluations. */
  repeats: number;
  /** Tokens of a completion, where a request names none. */
  maxTokens: number;
  signal?: AbortSignal;
  onEpisode?: (result: EpisodeResult) => void;
}

/** Runs all evaluations of one moment. */
export async function evaluate(
  runner: GuardedRunner,
  tasks: EvaluationTasks,
  options: EvaluationOptions,
): Promise<EvaluationResult> {
  const { validation, unseen } = tasks;
  const sampled = await evaluateSet(runner, "validation", validation, "sampled", options);
  const greedy = await evaluateSet(runner, "validation", validation, "greedy", options);
  if (unseen.length === 0) return { sampled, greedy };
  return {
    sampled,
    greedy,
    unseen_sampled: await evaluateSet(runner, "unseen", unseen, "sampled", options),
    unseen_greedy: await evaluateSet(runner, "unseen", unseen, "greedy", options),
  };
}

/** One flat line for validation.jsonl: `val/…` as it is sampled in training, `val_greedy/…` and so on. */
export function evaluationMetrics(result: EvaluationResult): Record<string, number> {
  const { sampled, greedy, unseen_sampled, unseen_greedy } = result;
  return {
    ...validationMetrics(sampled, "val"),
    ...validationMetrics(greedy, "val_greedy"),
    ...(unseen_sampled ? validationMetrics(unseen_sampled, "unseen") : {}),
    ...(unseen_greedy ? validationMetrics(unseen_greedy, "unseen_greedy") : {}),
  };
}

/** Episodes that {@link evaluate} will run. */
export function evaluationEpisodes(tasks: EvaluationTasks, repeats: number): number {
  return (tasks.validation.length + tasks.unseen.length) * (repeats + 1);
}

/** Runs each task of a set: `repeats` times when sampled, once when greedy. Set and decoding keep the draws apart. */
export async function evaluateSet(
  runner: GuardedRunner,
  set: keyof EvaluationTasks,
  tasks: readonly Task[],
  decoding: Decoding,
  options: EvaluationOptions,
): Promise<SetResult> {
  const { step, maxTokens, signal, onEpisode } = options;
  const [repeats, temperature] = decoding === "greedy" ? [1, 0] : [options.repeats, options.temperature];
  const requests = tasks.flatMap((task) => Array.from({ length: repeats }, (_, sample) => ({ task, sample })));
  const results = await runner.run(
    requests,
    { mode: "eval", purpose: `eval/${set}/${decoding}`, step, temperature, maxTokens },
    { ...(signal ? { signal } : {}), ...(onEpisode ? { onEpisode } : {}) },
  );
  const count = Math.max(results.length, 1);
  return {
    tasks: tasks.length,
    episodes: results.length,
    episodes_dropped: results.filter((result) => result.error).length,
    success_rate: results.filter((result) => result.isSuccess).length / count,
    solved_rate:
      new Set(results.flatMap((result) => (result.isSuccess ? [result.task] : []))).size / Math.max(tasks.length, 1),
    mean_reward: results.reduce((sum, result) => sum + result.reward, 0) / count,
    ...validationCounts(results),
  };
}
