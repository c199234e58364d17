import { resolve } from "node:path";
import type { Command } from "commander";
import { loggerNames } from "../config/loggers.js";
import { ConfigError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";
import { summaryTable } from "../report/summary-table.js";
import { runTraining } from "../train/training-run.js";
import { findPath } from "./bundled.js";
import { parseBytes, printDryRun } from "./dry-run.js";
import { type CommonOptions, command, type PlaceOptions, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";
import { prepareRun } from "./prepare-run.js";
import { RunPages } from "./run-pages.js";
import { RunPrinter } from "./run-printer.js";
import { rewardCurve, writeReport } from "./run-report.js";
import { StopSignal } from "./stop-signal.js";

/** What `ajet train` runs without arguments. */
export const TUTORIAL = "tutorial/example_math_agent/math_agent.yaml";

/** Options of `ajet train` and of its older spelling. */
export interface TrainOptions extends CommonOptions, PlaceOptions {
  set: string[];
  /** True: the newest run. */
  resume?: boolean | string;
  unsafeTools?: boolean;
  withLogview?: boolean;
  dryRun?: boolean;
  /** Bytes. */
  deviceMemory?: number;
}

/** `ajet train`: GRPO on the agent of a YAML. */
export function addTrain(program: Command): void {
  const train = command(program, "train", "trains an agent with GRPO; without a YAML, the bundled tutorial").argument(
    "[yaml]",
    `the run's configuration (default: ${TUTORIAL})`,
  );
  withTraining(train).action((yaml: string | undefined, options: TrainOptions) => trainYaml(yaml, options));
}

/** Adds the options that both spellings of `ajet train` take. */
export function withTraining(target: Command): Command {
  target
    .option(
      "--resume [name]",
      "goes on with the newest run of this YAML, or with the one named, by its stored config.yaml",
    )
    .option("--dry-run", "checks all that can be without training, and shows what memory the run would take")
    .option("--device-memory <size>", "with --dry-run: of a device that is not here, e.g. 80GiB", parseBytes)
    .option("--unsafe-tools", "runs the Python tool without isolation where none works")
    .option("--with-logview", "shows the run in the browser while it goes on: curves, episodes, tokens");
  return withOverrides(withDevice(target));
}

/** Trains as the YAML says. */
export async function trainYaml(yaml: string | undefined, options: TrainOptions): Promise<void> {
  const output = new Output(options);
  const yamlFile = yaml === undefined ? undefined : resolve(findPath(yaml));
  const run = prepareRun(yamlFile, resolve(findPath(TUTORIAL)), options);
  for (const note of run.notes) output.note(`note: ${note}`);
  const session = {
    config: run.config,
    yamlFile: run.yamlFile,
    packageRoot: PACKAGE_ROOT,
    unsafeTools: options.unsafeTools ?? false,
    onUserOutput: (text: string) => output.userOutput(text),
  };
  if (options.dryRun) return await printDryRun(session, options.deviceMemory, output);
  if (options.deviceMemory !== undefined) throw new ConfigError("--device-memory has no effect without --dry-run");
  using stop = new StopSignal(() => {
    output.note("stopping: the last finished step is being saved (press again to leave at once)");
  });
  using printer = new RunPrinter(output, loggerNames(run.config).includes("console"));
  using pages = new RunPages(output, options.withLogview ?? false);
  const summary = await runTraining({
    ...session,
    folder: run.folder,
    claimFolder: () => {
      run.claimFolder();
      output.line(`run ${run.folder.path}`);
      pages.show(run.folder);
    },
    resume: options.resume !== undefined,
    signal: stop.signal,
    listener: printer,
  });
  for (const line of [...summaryTable(summary), ...rewardCurve(run.folder)]) output.line(line);
  output.line(`summary ${run.folder.summaryFile}`);
  await writeReport(run.folder, output);
  output.result(summary);
  await pages.end(stop.fired());
}
