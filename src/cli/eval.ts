import { resolve } from "node:path";
import type { Command } from "commander";
import { dump } from "js-yaml";
import type { Task } from "../agent/task.js";
import { type LoadedConfig, loadConfig } from "../config/load-config.js";
import { ConfigError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";
import { writeJsonAtomically } from "../train/atomic-file.js";
import { type EvaluationOptions, evaluateSet } from "../train/evaluation.js";
import { explainingOutOfMemory } from "../train/out-of-memory.js";
import { defaultRunName, RunFolder } from "../train/run-folder.js";
import { Session, type SessionOptions } from "../train/session.js";
import { evaluationTasks } from "../train/task-splits.js";
import { findPath } from "./bundled.js";
import { FetchPrinter } from "./fetch-printer.js";
import {
  type CommonOptions,
  command,
  type PlaceOptions,
  parseCount,
  parseNumber,
  placeOverrides,
  withDevice,
  withOverrides,
} from "./options.js";
import { Output } from "./output.js";
import { RunPrinter } from "./run-printer.js";
import { StopSignal } from "./stop-signal.js";
import { TUTORIAL } from "./train.js";

interface EvalOptions extends CommonOptions, PlaceOptions {
  set: string[];
  model?: string;
  data?: string;
  limit?: number;
  temperature?: number;
  unsafeTools?: boolean;
}

/** `ajet eval`: success rate of an agent, without training. */
export function addEval(program: Command): void {
  const evaluation = command(program, "eval", "success rate of an agent on its validation tasks, or on a JSONL file")
    .argument("[yaml]", "the run's configuration", TUTORIAL)
    .option("--model <dir>", "another model folder, e.g. a checkpoint")
    .option(
      "--data <file>",
      "JSONL with `question` (or `main_query`) and `answer`, instead of the YAML's validation set",
    )
    .option("--limit <n>", "first n tasks", parseCount)
    .option("--temperature <x>", "0 is greedy, each task once; default as in the YAML", parseNumber)
    .option("--unsafe-tools", "runs the Python tool without isolation where none works");
  withOverrides(withDevice(evaluation)).action((yaml: string, options: EvalOptions) => evaluateYaml(yaml, options));
}

async function evaluateYaml(yaml: string, options: EvalOptions): Promise<void> {
  const output = new Output(options);
  const yamlFile = resolve(findPath(yaml));
  const { config, notes } = evalConfig(yamlFile, options);
  for (const note of notes) output.note(`note: ${note}`);
  const roots = { config, yamlFile, packageRoot: PACKAGE_ROOT };
  using fetching = new FetchPrinter(output);
  const { validation } = await evaluationTasks({ ...roots, listener: fetching });
  if (validation.length === 0) throw new ConfigError("There are no validation tasks: name a JSONL file with --data");
  const folder = new RunFolder(
    config.experiment_dir,
    config.experiment_name ?? defaultRunName(config.experiment_dir, yamlFile, "eval_"),
  );
  folder.refuseExisting("eval");
  const session: SessionOptions = {
    ...roots,
    unsafeTools: options.unsafeTools ?? false,
    onUserOutput: (text) => output.userOutput(text),
  };
  await explainingOutOfMemory({ config, roots, trains: false }, () => evaluate(validation, folder, session, output));
}

/** Evaluates the tasks, and writes and prints the summary. */
async function evaluate(validation: Task[], folder: RunFolder, options: SessionOptions, output: Output): Promise<void> {
  const { config, yamlFile } = options;
  using stop = new StopSignal();
  using printer = new RunPrinter(output, false);
  await using session = await Session.open(options);
  folder.start("eval", yamlFile, dump({ ajet: config }));
  session.publishEpisodeApi(folder.path);
  output.line(`${session.model.deviceLine}; Python tool: ${session.sandbox.description}; ${validation.length} tasks`);
  const { val_kwargs, temperature: trainingTemperature, max_response_length_in_one_turn: maxTokens } = config.rollout;
  const temperature = val_kwargs.temperature ?? trainingTemperature;
  const decoding = temperature === 0 ? "greedy" : "sampled";
  const repeats = decoding === "greedy" ? 1 : (config.trainer_common.val_pass_n ?? val_kwargs.num_repeat);
  printer.onPhase(`evaluation, ${decoding}`, validation.length * repeats);
  const how: EvaluationOptions = {
    step: 0,
    temperature,
    repeats,
    maxTokens,
    signal: stop.signal,
    onEpisode: (episode) => printer.onEpisode(episode),
  };
  const result = await evaluateSet(session.runner, "validation", validation, decoding, how);
  const { tasks, ...rates } = result;
  const summary = { ...rates, validation_tasks: tasks, temperature };
  writeJsonAtomically(folder.summaryFile, summary);
  output.line(
    `success ${(100 * result.success_rate).toFixed(1)} % of ${tasks} tasks, ${result.episodes_dropped} episodes dropped`,
  );
  output.line(`summary ${folder.summaryFile}`);
  output.result(summary);
}

/** The YAML with the command's options in it, so that config.yaml tells what was evaluated. */
function evalConfig(yamlFile: string, options: EvalOptions): LoadedConfig {
  const place = placeOverrides(options);
  const { task_reader } = loadConfig(yamlFile, [...options.set, ...place]).config;
  const fileReader = task_reader.type === "dataset_file" ? "dataset_file" : "jsonl_dataset_file";
  const overrides = Object.entries({
    "model.path": options.model,
    "task_reader.type": options.data === undefined ? undefined : fileReader,
    [`task_reader.${fileReader}.validation.file_path`]: options.data,
    "data.validation_limit": options.limit,
    "rollout.val_kwargs.temperature": options.temperature,
  }).filter(([, value]) => value !== undefined);
  return loadConfig(yamlFile, [
    ...options.set,
    ...place,
    ...overrides.map(([key, value]) => `${key}=${JSON.stringify(value)}`),
  ]);
}
