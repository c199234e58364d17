import type { Task } from "../agent/task.js";
import type { EpisodeResult } from "../rollout/episode.js";
import type { EpisodeRunner } from "../rollout/episode-runner.js";

/** Success over a set of tasks. Dropped episodes count as failures. */
export interface SetResult {
  tasks: number;
  episodes: number;
  episodes_dropped: number;
  success_rate: number;
  mean_reward: number;
}

/** Validation as it is sampled in training, greedily, and both on the tasks of unseen templates. */
export interface EvaluationResult {
  sampled: SetResult;
  greedy: SetResult;
  unseen_sampled?: SetResult;
  unseen_greedy?: SetResult;
}

export interface EvaluationTasks {
  validation: Task[];
  unseen: Task[];
}

export interface EvaluationOptions {
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
  runner: EpisodeRunner,
  tasks: EvaluationTasks,
  options: EvaluationOptions,
): Promise<EvaluationResult> {
  const greedily = { ...options, temperature: 0, repeats: 1 };
  const sampled = await evaluateSet(runner, "validation/sampled", tasks.validation, options);
  const greedy = await evaluateSet(runner, "validation/greedy", tasks.validation, greedily);
  if (tasks.unseen.length === 0) return { sampled, greedy };
  return {
    sampled,
    greedy,
    unseen_sampled: await evaluateSet(runner, "unseen/sampled", tasks.unseen, options),
    unseen_greedy: await evaluateSet(runner, "unseen/greedy", tasks.unseen, greedily),
  };
}

/** Episodes that {@link evaluate} will run. */
export function evaluationEpisodes(tasks: EvaluationTasks, repeats: number): number {
  return (tasks.validation.length + tasks.unseen.length) * (repeats + 1);
}

/** Runs each task `repeats` times at one temperature. `name` keeps the draws of evaluations apart. */
export async function evaluateSet(
  runner: EpisodeRunner,
  name: string,
  tasks: readonly Task[],
  options: EvaluationOptions,
): Promise<SetResult> {
  const requests = tasks.flatMap((task) => Array.from({ length: options.repeats }, (_, sample) => ({ task, sample })));
  const { step, temperature, maxTokens, signal, onEpisode } = options;
  const results = await runner.run(
    requests,
    { mode: "eval", purpose: `eval/${name}`, step, temperature, maxTokens },
    { ...(signal ? { signal } : {}), ...(onEpisode ? { onEpisode } : {}) },
  );
  const count = Math.max(results.length, 1);
  return {
    tasks: tasks.length,
    episodes: results.length,
    episodes_dropped: results.filter((result) => result.error).length,
    success_rate: results.filter((result) => result.isSuccess).length / count,
    mean_reward: results.reduce((sum, result) => sum + result.reward, 0) / count,
  };
}
