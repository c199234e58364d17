#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { packageVersion } from "../native/package-root.js";
import { addBench } from "./bench.js";
import { addBuild } from "./build.js";
import { addChat } from "./chat.js";
import { addDoctor } from "./doctor.js";
import { addDownload } from "./download.js";
import { addEval } from "./eval.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { addInit } from "./init.js";
import { addLaunch } from "./launch.js";
import { addLogview } from "./logview.js";
import { Output } from "./output.js";
import { addProblems } from "./problems.js";
import { registerProcess } from "./processes/registry.js";
import { addServe } from "./serve.js";
import { addSft } from "./sft.js";
import { addTrain } from "./train.js";

const program = new Command("ajet")
  .description("Trains the language model behind an agent with GRPO. `ajet train` runs the bundled tutorial.")
  .version(packageVersion())
  .showHelpAfterError("(add --help for the options)")
  .enablePositionalOptions()
  .exitOverride();

for (const add of [
  addInit,
  addTrain,
  addEval,
  addServe,
  addChat,
  addSft,
  addBench,
  addDoctor,
  addBuild,
  addProblems,
  addDownload,
  addLogview,
])
  add(program);
addLaunch(program);

/** What `ajet --kill` ends; `ajet --conf` notes itself once it has killed. */
const RUNS = ["train", "eval", "serve", "sft"];
program.hook("preAction", (_, command) => {
  if (RUNS.includes(command.name())) registerProcess();
});

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
