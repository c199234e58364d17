import type { EpisodeResult } from "../rollout/episode.js";

/** What an episode came to: AgentJet's task tags. */
export type TaskTag = "success" | "half_success" | "failure";

/** Success, or at least some reward, or nothing. */
export function taskTag({ isSuccess, reward, error }: Pick<EpisodeResult, "isSuccess" | "reward" | "error">): TaskTag {
  if (error) return "failure";
  if (isSuccess) return "success";
  return reward > 0 ? "half_success" : "failure";
}

/** Counts of a validation set, under AgentJet's names. */
export interface ValidationCounts {
  /** Episodes a task. */
  pass_n: number;
  /** Tasks that all of their episodes solved, and those that at least one did. */
  num_all_success_tasks: number;
  num_pass_n_tasks: number;
  /** Chance that at least one of k episodes of a task solves it, for k of 1, 2, 4, … and `pass_n`. */
  pass_at: Record<string, number>;
  /** Episodes by tag. */
  task_tags: Record<TaskTag, number>;
}

/** Counts episodes by task. Dropped ones are failures. */
export function validationCounts(results: readonly EpisodeResult[]): ValidationCounts {
  const tasks = new Map<object, { episodes: number; solved: number }>();
  const tags: Record<TaskTag, number> = { success: 0, half_success: 0, failure: 0 };
  for (const result of results) {
    const counts = tasks.get(result.task) ?? { episodes: 0, solved: 0 };
    tasks.set(result.task, counts);
    const tag = taskTag(result);
    tags[tag]++;
    counts.episodes++;
    if (tag === "success") counts.solved++;
  }
  const counts = [...tasks.values()];
  const passN = Math.min(...counts.map(({ episodes }) => episodes), Number.MAX_SAFE_INTEGER);
  const isEmpty = counts.length === 0;
  return {
    pass_n: isEmpty ? 0 : passN,
    num_all_success_tasks: counts.filter(({ episodes, solved }) => solved === episodes).length,
    num_pass_n_tasks: counts.filter(({ solved }) => solved > 0).length,
    pass_at: isEmpty ? {} : passRates(counts, passN),
    task_tags: tags,
  };
}

function passRates(counts: readonly { episodes: number; solved: number }[], passN: number): Record<string, number> {
  const ks = new Set<number>();
  for (let k = 1; k < passN; k *= 2) ks.add(k);
  ks.add(passN);
  const mean = (k: number) => counts.reduce((sum, task) => sum + passAtK(task.episodes, task.solved, k), 0);
  return Object.fromEntries([...ks].map((k) => [String(k), mean(k) / counts.length]));
}

/** The unbiased estimate from n episodes with c successes: 1 - C(n - c, k) / C(n, k) (arXiv 2107.03374). */
export function passAtK(n: number, c: number, k: number): number {
  if (n - c < k) return 1;
  let failing = 1;
  for (let i = n - c + 1; i <= n; i++) failing *= 1 - k / i;
  return 1 - failing;
}

/** One flat line of an evaluation, under AgentJet's names, for validation.jsonl. */
export function validationMetrics(set: ValidationSet, prefix: string): Record<string, number> {
  const { pass_n: n, tasks, num_all_success_tasks, num_pass_n_tasks, pass_at } = set;
  const share = (count: number) => count / Math.max(tasks, 1);
  const named = {
    pass_n: n,
    total_tasks: tasks,
    num_all_success_tasks,
    [`num_pass_${n}_tasks`]: num_pass_n_tasks,
    "TGC@1": set.success_rate,
    ...Object.fromEntries(Object.entries(pass_at).map(([k, rate]) => [`pass@${k}`, rate])),
    ...(n > 1 ? { [`TGC@${n}`]: share(num_pass_n_tasks), [`TGC@${n}-all-pass`]: share(num_all_success_tasks) } : {}),
    mean_reward: set.mean_reward,
    success_episodes: set.task_tags.success,
    half_success_episodes: set.task_tags.half_success,
    failure_episodes: set.task_tags.failure,
  };
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [`${prefix}/${name}`, value]));
}

/** What {@link validationMetrics} reads. */
export interface ValidationSet extends ValidationCounts {
  tasks: number;
  success_rate: number;
  mean_reward: number;
}
