import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ajet, ROOT, readJson, settings, temporaryFolder, tinyRun } from "./ajet.js";

const folder = temporaryFolder();

describe("exit codes", () => {
  it.each([
    [["--version"], readJson(ROOT, "package.json").version],
    [["--help"], "ajet train"],
    [["train", "--help"], "--resume"],
    [["help"], "ajet train"],
    [["help", "train"], "--resume"],
    [["--kill", "no process has this in its command line"], ""],
  ])("%j is done: 0", async (args, part) => {
    const { code, stdout } = await ajet(args);
    expect(code).toBe(0);
    expect(stdout).toContain(part);
  });

  it.each([
    [["trian"], '"trian" is no command: did you mean train?'],
    [["train", "--nonsense"], "unknown option"],
    [["train", "nowhere.yaml"], "Cannot read the configuration"],
    [["train", "--set", "rollout.num_repeats=4"], "did you mean `rollout.num_repeat`?"],
    [["train", "--set", "rollout.num_repeat"], "Expected KEY=VALUE for --set"],
    [["train", "--set", "model.path=nowhere"], "`model.path` names nowhere, which does not exist"],
    [["train", "--set", "trainer_common.kl_loss_coef=0.1"], "Set `trainer_common.use_kl_loss` to true"],
    [["train", "--set", "data.train_batch_size=100000"], "`data.train_batch_size`"],
    [["train", "--set", "rollout.user_workflow=nowhere.ts->Agent"], "`rollout.user_workflow` names nowhere.ts"],
    [["train", "--set", "task_judge.judge_protocol=README.md->Judge"], "judge_protocol"],
    [["train", "--threads", "two"], "whole number"],
    [["train", "--device", "tpu"], "auto, cpu, cuda"],
    [["--conf", "mine.yaml", "train"], "--conf has no effect before the command train: leave the command out"],
    [["--set", "trainer_common.seed=1", "eval"], "--set has no effect before the command eval: put it behind"],
    [["--json", "doctor"], "--json has no effect before the command doctor"],
    [["--conf", "tutorial/example_math_agent/math_agent.yaml", "--backbone", "trinity"], "native, debug or verl"],
    [["eval", "--data", "nowhere.jsonl"], "names nowhere.jsonl"],
    [["serve", "--model", "nowhere"], "The model folder nowhere does not exist"],
    [["serve", "--set", "trainer_common.seed=1"], "has no effect on this command"],
    [["sft", "--data", "x.jsonl"], "required option"],
    [
      ["sft", "--data", "x.jsonl", "--model", "models/ajet-tiny", "--out", "x", "--dtype", "int8"],
      "float32 or bfloat16",
    ],
    [["sft", "--data", "x.jsonl", "--model", "models/ajet-tiny", "--out", "x"], "x.jsonl do not exist"],
    [["bench", "--new-tokens", "0"], "at least 1"],
    [["bench", "--repeats", "0"], "at least 1"],
    [["chat", "--max-tokens", "0"], "at least 1"],
    [["chat", "--temperature", "-1"], "at least 0"],
    [["serve", "--max-tokens", "0"], "at least 1"],
    [["logview", ".", "--no-open", "--port", "70000"], "Cannot listen on 127.0.0.1:70000"],
    [["doctor", "--set", "model.devise=cpu"], "did you mean `model.device`?"],
    [["doctor", "--set", "model.device=tpu"], "`model.device`"],
    [["problems", "--set", "rollout.nothing=1"], "`rollout.nothing` is not a key"],
    [["build", "--set", "modle.path=x"], "did you mean `model`?"],
    [["build", "--set", "model.path"], "Expected KEY=VALUE for --set"],
    [["train", "--set", "trainer_common.optim.lr=1e30"], "at most 1 (1e-7 to 1e-3 is usual), but received 1e+30"],
    [
      ["sft", "--data", "x.jsonl", "--model", "models/ajet-tiny", "--out", "x", "--lr", "2"],
      "`trainer_common.optim.lr`",
    ],
  ])("%j is a mistake of usage: 2", async (args, part) => {
    const { code, stdout, stderr } = await ajet(
      ["train", "eval"].includes(args[0] as string) ? [...args, "--set", `experiment_dir=${folder}`] : args,
    );
    expect(stderr).toContain(part);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    // What cannot start leaves nothing behind.
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("a place where nothing can be written", () => {
  const file = fileURLToPath(import.meta.url);

  it.each([
    ["experiment_dir", `${file}/runs`, `Cannot make ${file}/runs/`],
    ["trainer_common.checkpoint_base_dir", file, "which `trainer_common.checkpoint_base_dir` names: ENOTDIR"],
  ])("is refused before the first step: %s", async (key, value, part) => {
    const values = { [key]: value, experiment_name: "nowhere" };
    const { code, stdout, stderr } = await ajet(["train", ...tinyRun(folder, "nowhere", values)]);
    expect(stderr).toContain(part);
    expect(stdout).toBe("");
    expect(code).toBe(1);
    expect(existsSync(join(folder, "nowhere"))).toBe(false);
  });
});

it.each([
  [["problems", "--out"], "which `--out` names: EEXIST"],
  [["init"], "which `dir` names: EEXIST"],
])("%j names a folder that cannot be made", async (args, part) => {
  const { code, stderr } = await ajet([...args, fileURLToPath(import.meta.url)]);
  expect(stderr).toContain(part);
  expect(code).toBe(1);
});

describe("ajet chat", () => {
  it("says so where a conversation has filled the context", async () => {
    const { code, stderr } = await ajet(["chat", ...settings({ "rollout.max_model_len": 8 })], {
      input: "One, two, three\n",
    });
    expect(stderr).toMatch(
      /The conversation has \d+ tokens, which leaves no room for a reply in a context of 8 .*start a new/,
    );
    expect(code).toBe(2);
  });
});

describe("ajet --conf", () => {
  it("trains in the seed's spelling: sections beside an empty `ajet:`, dataset_file, verl, keys without effect", async () => {
    const data = join(folder, "data");
    mkdirSync(data);
    writeFileSync(
      join(data, "tasks.jsonl"),
      ["1+1", "2+2", "3+3"].map((question, i) => JSON.stringify({ question, answer: String(2 * i + 2) })).join("\n"),
    );
    const yaml = join(folder, "seed.yaml");
    writeFileSync(
      yaml,
      `ajet:
task_reader:
    type: dataset_file
    dataset_file: {training: {file_path: data/tasks.jsonl}, validation: {file_path: data/tasks.jsonl}}
rollout:
    user_workflow: tutorial.example_math_agent.math_agent_oai_sdk->ExampleMathLearn
    n_vllm_engine: 2
task_judge:
    judge_protocol: tutorial.example_math_agent.math_answer_as_judge->MathAnswerAsJudge
model:
    path: models/ajet-tiny
data: {max_response_length: 15000}
`,
    );
    const tiny = tinyRun(folder, "seed", { "trainer_common.total_training_steps": 1, "rollout.num_repeat": 2 });
    const own = tiny.filter((value, i) => !`${value}${tiny[i + 1]}`.includes("jsonl_dataset_file"));
    const { code, stdout, stderr } = await ajet(["--conf", yaml, "--backbone", "verl", "--with-logview", ...own]);
    expect(stderr).toContain("--backbone verl runs the native backbone");
    expect(stdout).toMatch(/^pages http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]+#\/curves\?runs=seed$/m);
    expect(stdout).toContain(join(folder, "seed/report.html"));
    expect(stderr).toContain("`rollout.n_vllm_engine` has no effect here");
    expect(stderr).toContain("`data.max_response_length` has no effect here");
    expect(code).toBe(0);
    expect(readJson(folder, "seed/summary.json")).toMatchObject({ steps: 1, validation_tasks: 3, episodes: 4 });
  });
});
