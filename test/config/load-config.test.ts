import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { loggerNames } from "../../src/config/loggers.js";
import { describeKeysIdleOn } from "../../src/config/without-effect.js";
import { ConfigError } from "../../src/native/errors.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ajet-config-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const MINIMAL = `ajet:
  rollout:
    user_workflow: agent.ts->Agent
  model:
    path: some/model
`;

function load(yaml: string, overrides: string[] = []) {
  const file = join(folder, "run.yaml");
  writeFileSync(file, yaml);
  return loadConfig(file, overrides);
}

function messageOf(yaml: string, overrides: string[] = []): string {
  try {
    load(yaml, overrides);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error("Expected the configuration to be refused");
}

describe("loadConfig", () => {
  it("fills in every default", () => {
    const { config, notes } = load(MINIMAL);
    expect(config.rollout.num_repeat).toBe(8);
    expect(config.trainer_common.algorithm.preset).toBe("ajet");
    expect(config.data.train_batch_size).toBe(8);
    expect(notes).toEqual([]);
  });

  it("reads the seed's page, whose sections stand beside an empty `ajet:`", () => {
    const { config } = load(`ajet:
task_reader:
    type: dataset_file
rollout:
    user_workflow: tutorial.example_math_agent.math_agent->ExampleMathLearn
task_judge:
    judge_protocol: tutorial.example_math_agent.math_answer_as_judge->MathAnswerAsJudge
model:
    path: YOUR_MODEL_PATH
`);
    expect(config.rollout.user_workflow).toBe("tutorial.example_math_agent.math_agent->ExampleMathLearn");
    expect(config.task_reader.type).toBe("dataset_file");
  });

  it("applies overrides, typed as YAML", () => {
    const { config } = load(MINIMAL, [
      "trainer_common.seed=7",
      "ajet.rollout.temperature=0.5",
      "trainer_common.logger=[console]",
      "experiment_name=null",
    ]);
    expect(config.trainer_common.seed).toBe(7);
    expect(config.rollout.temperature).toBe(0.5);
    expect(config.trainer_common.logger).toEqual(["console"]);
    expect(config.experiment_name).toBeNull();
  });

  it.each([
    ["rollout.num_repeats=4", "`rollout.num_repeats` is not a key: did you mean `rollout.num_repeat`?"],
    ["trainer_comon.seed=4", "`trainer_comon` is not a key: did you mean `trainer_common`?"],
    ["trainer_common.optim.learning=1", "`trainer_common.optim.learning` is not a key: known here: lr, "],
    ["rollout.temperature=-1", "`rollout.temperature`"],
    ["rollout.num_repeat=many", 'received "many"'],
    ["rollout.num_repeat=2.5", "received 2.5"],
    ["trainer_common.algorithm.preset=ppo", 'received "ppo"'],
    ["model.device=tpu", 'received "tpu"'],
    ["model..path=x", "Expected keys between the dots"],
    ["trainer_common.logger=clearml", "`trainer_common.logger`: Expected console, jsonl, tensorboard, swanlab, wandb"],
    ["trainer_common.logger=[console,vemlp_wandb]", "`trainer_common.logger`: Expected console, jsonl, tensorboard"],
    ["trainer_common.logger_options.wandb.mode=cloud", '"cloud"'],
    [
      "trainer_common.logger_options.mlflow.tracking_uri=./mlruns",
      "Expected a URL that starts with http:// or https://",
    ],
    ["trainer_common.algorithm.adv_estimator=gae", 'received "gae"'],
    ["rollout.top_p=0.9", "received 0.9"],
    ["experiment_name=a/b", "Expected a name without slashes"],
    ["trainer_common.optim.offload=cpu", "`trainer_common.optim.offload`"],
    ["trainer_common.optim.lr=1e30", "`trainer_common.optim.lr`: Expected a learning rate above 0 and at most 1"],
    ["trainer_common.optim.lr=1.001", "received 1.001"],
    ["rollout.workflow_args=[1]", "`rollout.workflow_args`"],
    ["task_judge.judge_args=3", "`task_judge.judge_args`"],
    ["rollout.user_workflow.x=1", "`user_workflow` is "],
    ["seed", "Expected KEY=VALUE for --set"],
    ["=3", "Expected KEY=VALUE for --set"],
    ["data.train_batch_size=[1", "Expected a YAML value for --set data.train_batch_size"],
  ])("refuses --set %s", (override, part) => {
    expect(messageOf(MINIMAL, [override])).toContain(part);
  });

  it.each([
    ["swanlab", ["console", "swanlab"]],
    ["console", ["console"]],
    ["jsonl", ["jsonl"]],
    ["[tensorboard,wandb,tensorboard]", ["tensorboard", "wandb"]],
  ])("makes of the logger %s the loggers %j", (given, names) => {
    expect(loggerNames(load(MINIMAL, [`trainer_common.logger=${given}`]).config)).toEqual(names);
  });

  it("says that settings of a logger that is not chosen have no effect", () => {
    const override = "trainer_common.logger_options.wandb.mode=offline";
    expect(load(MINIMAL, [override]).notes).toEqual([
      expect.stringContaining("`trainer_common.logger` does not name wandb"),
    ]);
    expect(load(MINIMAL, [override, "trainer_common.logger=wandb"]).notes).toEqual([]);
  });

  it("leaves what user code gets as it is", () => {
    expect(load(MINIMAL).config).toMatchObject({ rollout: { workflow_args: {} }, task_judge: { judge_args: {} } });
    const { config } = load(
      MINIMAL.replace(
        "    user_workflow",
        "    workflow_args: { turns: 3, tools: { python: [a] } }\n    user_workflow",
      ),
      ["rollout.workflow_args.tools.shell=null"],
    );
    expect(config.rollout.workflow_args).toEqual({ turns: 3, tools: { python: ["a"], shell: null } });
  });

  it("says which known keys have no effect", () => {
    const { notes } = load(`${MINIMAL}  trainer_common:\n    n_gpus_per_node: 8\n`);
    expect(notes).toEqual(["`trainer_common.n_gpus_per_node` has no effect here: training runs on one device."]);
  });

  it.each([
    ["trainer_common.algorithm.preset=ajet", 1],
    ["trainer_common.algorithm.preset=dr-grpo", 0],
    ["trainer_common.algorithm.aggregation=token_sum_fixed", 0],
  ])("says which key is switched off by another, not one that is used (%s)", (override, count) => {
    const { notes } = load(MINIMAL, [override, "data.max_response_length=100"]);
    expect(notes).toHaveLength(count);
    for (const note of notes) expect(note).toContain("`data.max_response_length` has no effect here: only");
  });

  it("says so of a task reader that is not chosen, a judge that is not there, epochs beside steps, the end of a constant schedule", () => {
    const { notes } = load(MINIMAL, [
      "task_reader.dataset_file.training.file_path=x",
      "trainer_common.total_training_steps=3",
      "trainer_common.total_epochs=2",
      "trainer_common.optim.final_ratio=0.1",
      "task_judge.judge_args.strict=true",
    ]);
    expect(notes.map((note) => note.split("`")[1])).toEqual([
      "task_reader.dataset_file",
      "task_judge.judge_args",
      "trainer_common.total_epochs",
      "trainer_common.optim.final_ratio",
    ]);
  });

  it("says what the device switches off, once it is known", () => {
    const { config } = load(MINIMAL, ["trainer_common.optim.offload=moments_and_master"]);
    expect(describeKeysIdleOn("cuda:0", config)).toEqual([]);
    expect(describeKeysIdleOn("cpu", config)).toEqual([
      "`trainer_common.optim.offload` has no effect here: the CPU computes in the host's memory.",
    ]);
    expect(describeKeysIdleOn("cpu", load(MINIMAL).config)).toEqual([]);
  });

  it.each([
    ["ajet:\n  rollout: &a [*a]\n  model: {path: x}\n", "`rollout`"],
    ["ajet: [1, 2", "is not valid YAML"],
    ["just text", "Expected a mapping with the key `ajet`"],
    ["other: 1", "its keys are: other"],
    ["ajet:\n  model: {path: x}\n", "`rollout` is missing. Expected a mapping"],
    ["ajet:\n  rollout: {user_workflow: a.ts->B}\n  model: {}\n", "`model.path` is missing. Expected a text"],
    [
      "ajet:\n  rollout: {user_workflow: a.ts->B, num_repeat: 1.5}\n  model: {path: x}\n",
      "`rollout.num_repeat`: Expected a whole number, but received 1.5",
    ],
  ])("refuses %j", (yaml, part) => {
    expect(messageOf(yaml)).toContain(part);
  });

  it("names a file that is not there", () => {
    expect(() => loadConfig(join(folder, "none.yaml"))).toThrow(/Cannot read the configuration .*none\.yaml: ENOENT/);
  });
});
