import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { nearest } from "../text/nearest.js";
import { Output } from "./output.js";
import { type TrainOptions, trainYaml, withTraining } from "./train.js";

interface LaunchOptions extends TrainOptions {
  conf?: string;
  backbone: string;
  withLogview?: boolean;
  kill?: string;
}

/** `ajet --conf F …`: the seed's spelling of `ajet train F`. */
export function addLaunch(program: Command): void {
  const launch = program
    .option("--conf <yaml>", "as `ajet train <yaml>`")
    .option(
      "--backbone <name>",
      "native; debug: user code on the main thread, without limits; verl: runs native",
      "native",
    )
    .option("--with-logview", "opens the token viewer")
    .option("--kill <processes>", "has no effect: no run leaves processes behind")
    .option("--json", "results as JSON lines on stdout, everything else on stderr")
    .option("--verbose", "errors with their stack");
  // What is no command comes here, too.
  withTraining(launch).allowExcessArguments();
  launch.action(async (options: LaunchOptions, { args }: Command) => {
    const output = new Output(options);
    if (args[0] !== undefined) throw unknownCommand(args[0], program);
    if (options.kill !== undefined) output.note("note: --kill has no effect: no run leaves processes behind");
    if (options.conf === undefined) {
      if (options.kill === undefined) program.outputHelp();
      return;
    }
    const debug = isDebug(options.backbone, output);
    if (options.withLogview)
      output.note("note: --with-logview has no effect yet: the token viewer is not part of this version");
    await trainYaml(options.conf, { ...options, debug });
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
