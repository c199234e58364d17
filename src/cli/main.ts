#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ConfigError } from "../native/errors.js";
import { packageVersion } from "../native/package-root.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { Output } from "./output.js";
import { registerProcess } from "./processes/registry.js";

type AddCommand = (program: Command) => void;

/** By name. A command's module brings in what it needs: `ajet logview` starts without the trainer. */
const COMMANDS: ReadonlyMap<string, () => Promise<AddCommand>> = new Map([
  ["init", async () => (await import("./init.js")).addInit],
  ["train", async () => (await import("./train.js")).addTrain],
  ["eval", async () => (await import("./eval.js")).addEval],
  ["serve", async () => (await import("./serve.js")).addServe],
  ["chat", async () => (await import("./chat.js")).addChat],
  ["sft", async () => (await import("./sft.js")).addSft],
  ["bench", async () => (await import("./bench.js")).addBench],
  ["doctor", async () => (await import("./doctor.js")).addDoctor],
  ["build", async () => (await import("./build.js")).addBuild],
  ["problems", async () => (await import("./problems.js")).addProblems],
  ["download", async () => (await import("./download.js")).addDownload],
  ["logview", async () => (await import("./logview.js")).addLogview],
]);

/** The one that is named, or all of them, with what stands for a command. */
function wantedCommands(name = ""): (() => Promise<AddCommand>)[] {
  const named = COMMANDS.get(name);
  return named ? [named] : [...COMMANDS.values(), async () => (await import("./launch.js")).addLaunch];
}

const program = new Command("ajet")
  .description("Trains the language model behind an agent with GRPO. `ajet train` runs the bundled tutorial.")
  .version(packageVersion())
  .showHelpAfterError("(add --help for the options)")
  .helpCommand("help [command]", "the same as --help")
  .enablePositionalOptions()
  .exitOverride();

for (const load of wantedCommands(process.argv[2])) (await load())(program);

/** What `ajet --kill` ends; `ajet --conf` notes itself once it has killed. */
const RUNS = ["train", "eval", "serve", "sft"];
program.hook("preAction", (_, command) => {
  if (command !== program) refuseOptionsBefore(command);
  if (RUNS.includes(command.name())) registerProcess();
});

/** What stands before a command would have no effect on it. @throws ConfigError */
function refuseOptionsBefore(command: Command): void {
  const given = program.options.find((option) => program.getOptionValueSource(option.attributeName()) === "cli");
  if (given === undefined) return;
  const instead = given.long === "--conf" ? "leave the command out, or name the YAML behind it" : "put it behind";
  throw new ConfigError(`${given.long} has no effect before the command ${command.name()}: ${instead}`);
}

// A reader that goes away (`ajet train | head`) must not take the run with it.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    new Output({ verbose: process.argv.includes("--verbose") }).error(error);
    process.exitCode = exitCodeOf(error);
  }
}
// Worker threads of user code may hold the process; everything of ours is closed by now.
process.exit(process.exitCode ?? EXIT.done);
