import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { withDevice, withOverrides } from "./options.js";
import { type TrainOptions, trainYaml } from "./train.js";

interface LaunchOptions extends TrainOptions {
  conf?: string;
  backbone: string;
  withLogview?: boolean;
}

/** `ajet --conf F …`: the seed's spelling of `ajet train F`. */
export function addLaunch(program: Command): void {
  const launch = program
    .option("--conf <yaml>", "as `ajet train <yaml>`")
    .option("--backbone <name>", "native, or verl (which runs native)", "native")
    .option("--with-logview", "opens the token viewer")
    .option("--resume [name]", "goes on with the newest run of this YAML, or with the one named")
    .option("--unsafe-tools", "runs the Python tool without isolation where none works")
    .option("--json", "results as JSON lines on stdout, everything else on stderr")
    .option("--verbose", "errors with their stack");
  withOverrides(withDevice(launch)).action(async (options: LaunchOptions) => {
    if (options.conf === undefined) {
      program.outputHelp();
      return;
    }
    checkBackbone(options.backbone);
    if (options.withLogview) process.stderr.write("note: --with-logview has no effect yet: the token viewer is not part of this version\n");
    await trainYaml(options.conf, options);
  });
}

function checkBackbone(backbone: string): void {
  if (backbone === "verl") {
    process.stderr.write("note: --backbone verl runs the native backbone: there is no Python engine here\n");
  } else if (backbone !== "native") {
    throw new ConfigError(`Expected native or verl for --backbone but received "${backbone}"`);
  }
}
