import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { makeWritableFolder } from "../native/make-folder.js";
import { generateWordProblems, type WordProblem } from "../tasks/word-problems/generate.js";
import { plainSettings } from "./model-settings.js";
import { type CommonOptions, command, parseCount, withOverrides } from "./options.js";
import { Output } from "./output.js";

interface ProblemsOptions extends CommonOptions {
  out: string;
  seed: number;
  train: number;
  heldout: number;
  unseen: number;
  set: string[];
}

/** `ajet problems`: word problems of the tutorial's kind. */
export function addProblems(program: Command): void {
  const problems = command(
    program,
    "problems",
    "writes seeded math word problems: train, held-out, and held-out of unseen templates",
  )
    .option("--out <dir>", "folder for train.jsonl, heldout.jsonl and unseen.jsonl", ".")
    .option("--seed <n>", "another seed gives other problems", parseCount, 1)
    .option("--train <n>", "problems to train on", parseCount, 2048)
    .option("--heldout <n>", "held-out problems", parseCount, 512)
    .option("--unseen <n>", "held-out problems of templates that train.jsonl does not have", parseCount, 256);
  withOverrides(problems, "checked as for a run; no key changes the problems").action(writeProblems);
}

function writeProblems(options: ProblemsOptions): void {
  plainSettings(options);
  const output = new Output(options);
  const taken = new Set<string>();
  // The seeds of the three splits never meet, whatever the user's seed.
  const generate = (split: number, count: number, templates: "training" | "unseen") =>
    generateWordProblems({ seed: 3 * options.seed + split, count, templates, taken });
  const splits: [string, WordProblem[]][] = [
    ["heldout", generate(0, options.heldout, "training")],
    ["unseen", generate(1, options.unseen, "unseen")],
    ["train", generate(2, options.train, "training")],
  ];
  makeWritableFolder(options.out, "--out");
  for (const [name, problems] of splits) {
    const file = join(options.out, `${name}.jsonl`);
    writeFileSync(file, problems.map((problem) => `${JSON.stringify(problem)}\n`).join(""));
    output.line(`${file}: ${problems.length} problems`);
    output.result({ file, problems: problems.length });
  }
}
