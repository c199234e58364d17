import { resolve } from "node:path";
import type { Command } from "commander";
import { dump } from "js-yaml";
import { loadConfig } from "../config/load-config.js";
import { ConfigError } from "../native/errors.js";
import { ProgressBar } from "../report/progress-bar.js";
import { writeJsonAtomically } from "../train/atomic-file.js";
import { evaluateSet } from "../train/evaluation.js";
import { defaultRunName, RunFolder } from "../train/run-folder.js";
import { evaluationTasks, Session } from "../train/session.js";
import { type CommonOptions, command, parseCount, parseNumber, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";
import { findPath, PACKAGE_ROOT } from "./package-root.js";
import { onStopSignal } from "./stop-signal.js";
import { placeOverrides, TUTORIAL } from "./train.js";

interface EvalOptions extends CommonOptions {
  set: string[];
  model?: string;
  data?: string;
  limit?: number;
  temperature?: number;
  device?: string;
  threads?: number;
  unsafeTools?: boolean;
}

/** `ajet eval`: success rate of an agent, without training. */
export function addEval(program: Command): void {
  const evaluation = command(program, "eval", "success rate of an agent on its validation tasks, or on a JSONL file")
    .argument("[yaml]", "the run's configuration", TUTORIAL)
    .option("--model <dir>", "another model folder, e.g. a checkpoint")
    .option("--data <file>", "JSONL with `question` (or `main_query`) and `answer`, instead of the YAML's validation set")
    .option("--limit <n>", "first n tasks", parseCount)
    .option("--temperature <x>", "0 is greedy; default as in the YAML", parseNumber)
    .option("--unsafe-tools", "runs the Python tool without isolation where none works");
  withOverrides(withDevice(evaluation)).action((yaml: string, options: EvalOptions) => evaluateYaml(yaml, options));
}

async function evaluateYaml(yaml: string, options: EvalOptions): Promise<void> {
  const output = new Output(options);
  const yamlFile = resolve(findPath(yaml));
  const { config, notes } = loadConfig(yamlFile, [
    ...(options.model === undefined ? [] : [`model.path=${options.model}`]),
    ...(options.limit === undefined ? [] : [`data.validation_limit=${options.limit}`]),
    ...options.set,
    ...placeOverrides(options),
  ]);
  if (options.data !== undefined) config.task_reader[config.task_reader.type].validation.file_path = options.data;
  for (const note of notes) output.note(`note: ${note}`);
  const session = { config, yamlFile, packageRoot: PACKAGE_ROOT, unsafeTools: options.unsafeTools ?? false };
  const { validation } = await evaluationTasks(session);
  if (validation.length === 0) throw new ConfigError("There are no validation tasks: name a JSONL file with --data");
  const folder = new RunFolder(config.experiment_dir, config.experiment_name ?? `eval_${defaultRunName(yamlFile, new Date())}`);
  folder.create(yamlFile, dump({ ajet: config }), false);

  const stop = new AbortController();
  const stopListening = onStopSignal(() => stop.abort());
  await using opened = await Session.open(session);
  output.line(`${opened.model.device}; Python tool: ${opened.sandbox.description}; ${validation.length} tasks`);
  const repeats = config.rollout.val_kwargs.num_repeat;
  const bar = new ProgressBar("eval", validation.length * repeats, output.interactive);
  let done = 0;
  const reasons: Record<string, number> = {};
  try {
    const result = await evaluateSet(opened.runner, "validation/sampled", validation, {
      step: 0,
      temperature: options.temperature ?? config.rollout.val_kwargs.temperature ?? config.rollout.temperature,
      repeats,
      maxTokens: config.rollout.max_response_length_in_one_turn,
      signal: stop.signal,
      onEpisode: (episode) => {
        bar.update(++done);
        if (!episode.error) return;
        reasons[episode.error.kind] = (reasons[episode.error.kind] ?? 0) + 1;
        output.note(`dropped ${episode.task.taskId}: ${episode.error.message}`);
      },
    });
    const summary = {
      success_rate: result.success_rate,
      mean_reward: result.mean_reward,
      validation_tasks: result.tasks,
      episodes: result.episodes,
      episodes_dropped: result.episodes_dropped,
      drop_reasons: reasons,
    };
    writeJsonAtomically(folder.summaryFile, summary);
    output.line(`success ${(100 * result.success_rate).toFixed(1)} % of ${result.tasks} tasks, ${result.episodes_dropped} dropped`);
    output.line(`summary ${folder.summaryFile}`);
    output.result(summary);
  } finally {
    bar.stop();
    stopListening();
  }
}
