import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { nearest } from "../text/nearest.js";
import { debugYaml } from "./debug.js";
import { kill } from "./kill.js";
import { Output } from "./output.js";
import { registerProcess } from "./processes/registry.js";
import { type TrainOptions, trainYaml, withTraining } from "./train.js";

interface LaunchOptions extends TrainOptions {
  conf?: string;
  backbone: string;
  /** True: without a pattern. */
  kill?: string | true;
  yes?: boolean;
}

/** `ajet --conf F …`: the seed's spelling of `ajet train F`. */
export function addLaunch(program: Command): void {
  const launch = program
    .option("--conf <yaml>", "as `ajet train <yaml>`")
    .option(
      "--backbone <name>",
      "native; debug: a few episodes without training, for breakpoints; verl: runs native",
      "native",
    )
    .option(
      "--kill [pattern]",
      "ends ajet's runs and servers; with a regular expression, your processes that match, once you said yes",
    )
    .option("--yes", "--kill with a pattern does not ask")
    .option("--json", "results as JSON lines on stdout, everything else on stderr")
    .option("--verbose", "errors with their stack");
  // What is no command comes here, too.
  withTraining(launch).allowExcessArguments();
  launch.action(async (options: LaunchOptions, { args }: Command) => {
    const output = new Output(options);
    if (args[0] !== undefined) throw unknownCommand(args[0], program);
    if (options.kill !== undefined) await kill(options.kill, options.yes ?? false, output);
    if (options.conf === undefined) {
      if (options.kill === undefined) program.outputHelp();
      return;
    }
    const debug = isDebug(options.backbone, output);
    registerProcess();
    await (debug ? debugYaml(options.conf, options) : trainYaml(options.conf, options));
  });
}

function unknownCommand(word: string, program: Command): ConfigError {
  const names = program.commands.map((command) => command.name());
  const close = nearest(word, names);
  return new ConfigError(
    `"${word}" is no command: ${close ? `did you mean ${close}?` : `there are ${names.join(", ")}`}`,
  );
}

function isDebug(backbone: string, output: Output): boolean {
  if (backbone === "debug" || backbone === "native") return backbone === "debug";
  if (backbone !== "verl")
    throw new ConfigError(`Expected native, debug or verl for --backbone but received "${backbone}"`);
  output.note("note: --backbone verl runs the native backbone: there is no Python engine here");
  return false;
}
