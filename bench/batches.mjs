/** Batches for the update: recorded ones of a run, and synthetic ones. As JSON: both sides read the same file. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { TokenLogReader } from "../dist/report/token-log/reader.js";

/** The newest finished run below `folder` that has a token log. */
export function newestRun(folder) {
  const runs = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  const finished = runs.filter((run) => existsSync(join(run, "summary.json")) && hasTokenLog(run));
  const newest = finished.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)[0];
  if (!newest)
    throw new Error(`No finished run in ${folder}: run \`npx ajet train\` first, or name one with --run FOLDER`);
  return newest;
}

function hasTokenLog(run) {
  const folder = join(run, "tokens");
  return existsSync(folder) && readdirSync(folder).some((name) => name.endsWith(".ajetlog"));
}

/** The steps that a run's token log holds, to be read with {@link recordedBatch}. */
export async function recordedSteps(run) {
  const log = await TokenLogReader.open(join(run, "tokens"));
  return { log, steps: (await log.steps()).map(({ step }) => step) };
}

/** A step as it was trained: the calls that were not dropped for another reason than equal rewards. */
export async function recordedBatch(log, step) {
  const { headers } = await log.list({ step, dropped: false, limit: Number.POSITIVE_INFINITY });
  const calls = [];
  for (const [index, { key }] of headers.entries()) {
    const trained = (await log.episode(key)).calls.filter(
      ({ verdict }) => verdict.fate !== "dropped" || verdict.reason === "group_left_out",
    );
    for (const { promptIds, sampledIds, logprobs, temperature } of trained) {
      const numbers = { prompt: [...promptIds], sampled: [...sampledIds], logprobs: [...logprobs] };
      calls.push({ episode: index, ...numbers, temperature });
    }
  }
  return { calls, rewards: headers.map(({ reward }) => reward), groups: headers.map(({ group }) => group) };
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
