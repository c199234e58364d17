import { resolve } from "node:path";
import { ConfigError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";
import type { EpisodeResult } from "../rollout/episode.js";
import { runDebug } from "../train/debug-run.js";
import { findPath } from "./bundled.js";
import { Output } from "./output.js";
import { prepareRun } from "./prepare-run.js";
import { RunPages } from "./run-pages.js";
import { StopSignal } from "./stop-signal.js";
import type { TrainOptions } from "./train.js";

/** `ajet --conf F --backbone debug`: a few episodes, one line each, for breakpoints in workflow and judge. */
export async function debugYaml(yaml: string, options: TrainOptions): Promise<void> {
  if (options.resume !== undefined) throw new ConfigError("--backbone debug trains nothing: leave --resume out");
  const output = new Output(options);
  const yamlFile = resolve(findPath(yaml));
  const run = prepareRun(yamlFile, yamlFile, options, "debug");
  for (const note of run.notes) output.note(`note: ${note}`);
  using stop = new StopSignal();
  using pages = new RunPages(output, options.withLogview ?? false);
  const summary = await runDebug({
    config: run.config,
    yamlFile,
    packageRoot: PACKAGE_ROOT,
    folder: run.folder,
    claimFolder: () => {
      run.claimFolder();
      pages.show(run.folder);
    },
    unsafeTools: options.unsafeTools ?? false,
    onUserOutput: (text) => output.userOutput(text),
    signal: stop.signal,
    onStart: ({ device, isolation, tasks, episodes }) =>
      output.line(`${device}; Python tool: ${isolation}; ${tasks} tasks, ${episodes} episodes, nothing is trained`),
    onEpisode: (result) => report(result, output),
  });
  output.line(`token log ${run.folder.tokensFolder}`);
  output.result(summary);
  await pages.end(stop.fired());
}

function report(result: EpisodeResult, output: Output): void {
  const { task, sample, reward, isSuccess, reason, calls, wallMs, error, retried } = result;
  const tokens = calls.reduce((sum, call) => sum + call.sampledIds.length, 0);
  const seconds = (wallMs / 1000).toFixed(2);
  const who = `task ${task.taskId} sample ${sample}`;
  for (const failure of [...retried, ...(error ? [error] : [])]) {
    output.note(`${who} failed (${failure.kind}): ${failure.message}`);
    if (failure.stack) output.note(failure.stack);
  }
  const end = error ? "dropped" : `reward ${reward.toFixed(3)}  ${isSuccess ? "success" : "failure"}`;
  const why = reason === undefined ? "" : `  ${reason}`;
  output.line(`${who}  ${end}  ${calls.length} calls  ${tokens} tokens  ${seconds} s${why}`);
  output.result({
    task_id: task.taskId,
    sample,
    reward: error ? null : reward,
    success: isSuccess,
    calls: calls.length,
    tokens,
    metadata: result.metadata,
    ...(error ? { dropped: error } : {}),
  });
}
