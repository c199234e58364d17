/** Batches for the update: recorded ones of a run, and synthetic ones. As JSON: both sides read the same file. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** The newest finished run below `folder`. */
export function newestRun(folder) {
  const runs = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  const finished = runs.filter((run) => existsSync(join(run, "summary.json")) && stepsOf(run).length > 0);
  const newest = finished.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
  if (!newest)
    throw new Error(`No finished run in ${folder}: run \`npx ajet train\` first, or name one with --run FOLDER`);
  return newest;
}

/** Numbers of the steps that a run's token log holds. */
export function stepsOf(run) {
  const folder = join(run, "tokens");
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .flatMap((name) => /^step_(\d+)\.jsonl$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** A step as it was trained: the calls that were not dropped for another reason than equal rewards. */
export function recordedBatch(run, step) {
  const lines = readFileSync(join(run, "tokens", `step_${step}.jsonl`), "utf8")
    .trim()
    .split("\n");
  const episodes = lines.map((line) => JSON.parse(line)).filter((episode) => episode.reward !== null);
  const tasks = [...new Set(episodes.map((episode) => episode.task_id))];
  const calls = episodes.flatMap((episode, index) =>
    episode.calls
      .filter(({ verdict }) => verdict.fate !== "dropped" || verdict.reason === "group_left_out")
      .map((call) => ({
        episode: index,
        prompt: call.prompt_ids,
        sampled: call.sampled_ids,
        logprobs: call.logprobs,
        temperature: call.temperature,
      })),
  );
  return {
    calls,
    rewards: episodes.map((episode) => episode.reward),
    groups: episodes.map((episode) => tasks.indexOf(episode.task_id)),
  };
}

/**
 * A group of episodes that share their first prompt. Each turn samples `sampled` tokens; between turns the environment
 * answers with `observation` tokens. With `shared` false every prompt differs from its first token on.
 */
export function syntheticBatch({ vocab, group, turns, prompt, sampled, observation = 0, shared = true }) {
  let state = 1;
  const ids = (count) =>
    Array.from({ length: count }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * vocab);
    });
  const common = ids(prompt);
  const calls = [];
  for (let episode = 0; episode < group; episode++) {
    let context = shared ? common : [episode, ...ids(prompt - 1)];
    for (let turn = 0; turn < turns; turn++) {
      const call = { episode, prompt: context, sampled: ids(sampled), temperature: 1 };
      calls.push({ ...call, logprobs: Array(sampled).fill(-Math.log(vocab)) });
      context = [...context, ...call.sampled, ...ids(observation)];
    }
  }
  const episodes = Array.from({ length: group }, (_, i) => i);
  return { calls, rewards: episodes.map((i) => i % 2), groups: episodes.map(() => 0) };
}
