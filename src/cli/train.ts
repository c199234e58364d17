import { resolve } from "node:path";
import type { Command } from "commander";
import { dump } from "js-yaml";
import { loadConfig } from "../config/load-config.js";
import { ProgressBar } from "../report/progress-bar.js";
import { evaluationLine, stepLine } from "../report/step-line.js";
import { defaultRunName, newestRunOf, RunFolder } from "../train/run-folder.js";
import { type RunListener, runTraining } from "../train/training-run.js";
import { type CommonOptions, command, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";
import { findPath, PACKAGE_ROOT } from "./package-root.js";
import { onStopSignal } from "./stop-signal.js";

/** What `ajet train` runs without arguments. */
export const TUTORIAL = "tutorial/example_math_agent/math_agent.yaml";

export interface TrainOptions extends CommonOptions {
  set: string[];
  resume?: boolean | string;
  device?: string;
  threads?: number;
  unsafeTools?: boolean;
}

/** `ajet train`: GRPO on the agent of a YAML. */
export function addTrain(program: Command): void {
  const train = command(program, "train", "trains an agent with GRPO; without a YAML, the bundled tutorial")
    .argument("[yaml]", "the run's configuration", TUTORIAL)
    .option("--resume [name]", "goes on with the newest run of this YAML, or with the one named")
    .option("--unsafe-tools", "runs the Python tool without isolation where none works");
  withOverrides(withDevice(train)).action((yaml: string, options: TrainOptions) => trainYaml(yaml, options));
}

/** Trains as the YAML says; also behind `ajet --conf`. */
export async function trainYaml(yaml: string, options: TrainOptions): Promise<void> {
  const output = new Output(options);
  const yamlFile = resolve(findPath(yaml));
  const { config, notes } = loadConfig(yamlFile, [...options.set, ...placeOverrides(options)]);
  for (const note of notes) output.note(`note: ${note}`);
  const resumed = typeof options.resume === "string" ? options.resume : undefined;
  const name =
    resumed ??
    config.experiment_name ??
    (options.resume ? newestRunOf(config.experiment_dir, yamlFile) : defaultRunName(yamlFile, new Date()));
  const folder = new RunFolder(config.experiment_dir, name);
  folder.create(yamlFile, dump({ ajet: config }), options.resume !== undefined);
  output.line(`run ${folder.path}`);

  const stop = new AbortController();
  const stopListening = onStopSignal(() => {
    output.note("stopping: the last finished step is being saved (press again to leave at once)");
    stop.abort();
  });
  try {
    const summary = await runTraining({
      config,
      yamlFile,
      packageRoot: PACKAGE_ROOT,
      folder,
      resume: options.resume !== undefined,
      unsafeTools: options.unsafeTools ?? false,
      signal: stop.signal,
      listener: listenTo(output),
    });
    output.line(`summary ${folder.summaryFile}`);
    output.result(summary);
  } finally {
    stopListening();
  }
}

/** `--device` and `--threads` as overrides of the YAML. */
export function placeOverrides(options: { device?: string; threads?: number }): string[] {
  return [
    ...(options.device === undefined ? [] : [`model.device=${options.device}`]),
    ...(options.threads === undefined ? [] : [`model.threads=${options.threads}`]),
  ];
}

/** Prints a run as it goes on. */
function listenTo(output: Output): RunListener {
  let bar: ProgressBar | undefined;
  let done = 0;
  return {
    onStart: (info) =>
      output.line(
        `${info.device}; Python tool: ${info.isolation}; ${info.trainingTasks} tasks, steps ${info.firstStep} to ${info.steps}`,
      ),
    onPhase: (phase, episodes) => {
      bar?.stop();
      done = 0;
      bar = new ProgressBar(phase, episodes, output.interactive);
    },
    onEpisode: (result) => {
      bar?.update(++done);
      if (result.error) output.note(`dropped ${result.task.taskId}: ${result.error.message}`);
    },
    onEvaluation: (moment, result) => {
      bar?.stop();
      output.line(evaluationLine(moment, result));
      output.result({ evaluation: moment, ...result });
    },
    onStep: (metrics, totalSteps) => {
      bar?.stop();
      output.line(stepLine(metrics, totalSteps));
      output.result(metrics);
    },
    onCheckpoint: (path) => output.note(`checkpoint ${path}`),
  };
}
