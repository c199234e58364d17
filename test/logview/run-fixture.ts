import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dump } from "js-yaml";
import { generatedStep, type StepShape, tokenBytes } from "../../bench/campaigns/generated-steps.mjs";
import { JsonlLog } from "../../src/report/jsonl-log.js";
import { TokenLogWriter } from "../../src/report/token-log/writer.js";
import type { GroupToWrite } from "../../src/report/token-log/written.js";
import { RunFolder } from "../../src/train/run-folder.js";

/** Text that would run, load or reorder something if it were taken for anything but text. */
export const HOSTILE =
  '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script></span></pre>&lt;b&gt;\u202egnp.exe\u0000"\'`';

/** Ids from here on stand for the texts of {@link RunToMake.texts}. */
const OWN_IDS = 1_000_000;

export interface RunToMake {
  steps?: number;
  shape?: StepShape;
  settings?: Record<string, unknown>;
  /** Writes summary.json. */
  summary?: Record<string, unknown>;
  /** Changes a step's groups before they are written. */
  change?: (groups: GroupToWrite[], step: number) => GroupToWrite[];
  /** Texts of tokens {@link ownId}(0), (1), … */
  texts?: readonly string[];
}

export function ownId(index: number): number {
  return OWN_IDS + index;
}

/** A run's folder, written by what a run writes it with. */
export async function makeRun(experiments: string, name: string, options: RunToMake = {}): Promise<RunFolder> {
  const { steps = 3, shape = { groups: 2, episodes: 4, turns: 2, prompt: 30, sampled: 12, observed: 5 } } = options;
  mkdirSync(experiments, { recursive: true });
  const folder = new RunFolder(experiments, name);
  const settings = { trainer_common: { total_training_steps: 10, seed: 1 }, ...options.settings };
  folder.start("train", join(experiments, "agent.yaml"), dump({ ajet: settings }));
  for (let step = 1; step <= steps; step++) appendMetrics(folder, step);
  const log = await TokenLogWriter.open(folder.tokensFolder, {
    lastStep: 0,
    tokenBytes: (id) => (id >= OWN_IDS ? Buffer.from(options.texts?.[id - OWN_IDS] ?? "") : tokenBytes(id)),
  });
  const change = options.change ?? ((groups) => groups);
  for (let step = 1; step <= steps; step++) log.append(step, change(generatedStep(step, shape), step));
  log.close();
  if (options.summary) writeFileSync(folder.summaryFile, JSON.stringify(options.summary));
  return folder;
}

/** The reward of a step of {@link makeRun}. */
export function rewardOf(step: number): number {
  return 1 - 0.8 / step;
}

/** One more line of metrics, as a run that goes on appends it. */
export function appendMetrics(folder: RunFolder, step: number): void {
  const log = new JsonlLog(folder.metricsFile, step - 1);
  log.append({
    step,
    "critic/rewards/mean": rewardOf(step),
    "critic/success_rate": rewardOf(step),
    "actor/entropy": 1 / step,
    "actor/kl_loss": 0,
    "timing_s/gen": 1,
    "timing_s/update_actor": 0.5,
    "timing_s/step": 1.5,
  });
  log.close();
}

/** Bytes that a crash leaves at the end of a file. */
export function tear(file: string): void {
  appendFileSync(file, '{"step": 99, "critic/rewards/me');
}

/** Replaces what the first episode of a group says: the prompt stays, one reply of the given tokens follows. */
export function withReply(groups: GroupToWrite[], ids: readonly number[], content: string): GroupToWrite[] {
  const [first, ...others] = groups;
  const episode = first?.episodes[0];
  const call = episode?.calls[0];
  if (!first || !episode || !call) throw new Error("Expected a group with an episode");
  const sampledIds = Int32Array.from(ids);
  const reply = {
    ...call,
    verdict: { fate: "trained" as const },
    sampledIds,
    logprobs: Float32Array.from(ids, (_, i) => -((i % 50) / 10)),
    entropies: Float32Array.from(ids, () => 0.5),
    messages: [{ role: "user", content }],
    reply: { role: "assistant", content },
  };
  return [
    { ...first, episodes: [{ ...episode, reason: content, calls: [reply] }, ...first.episodes.slice(1)] },
    ...others,
  ];
}
