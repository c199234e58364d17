import { loggerNames } from "./loggers.js";
import { isTree, type YamlTree } from "./overrides.js";
import type { AjetConfig } from "./schema.js";

/** AgentJet's keys that have nothing to steer here, and why. They are accepted, and the run says so once. */
const KEYS_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  backbone: "the backbone is chosen on the command line",
  "rollout.name": "there is one inference engine",
  "rollout.tensor_model_parallel_size": "training runs on one device",
  "rollout.n_vllm_engine": "there is one inference engine",
  "rollout.gamma": "rewards are given at the end of an episode",
  "rollout.force_disable_toolcalls": "a workflow that wants no tool calls sends no tools",
  "rollout.multi_turn": "a workflow counts its own turns",
  "rollout.enable_oversample": "every episode is waited for",
  "rollout.submit_oversample_multiplier": "every episode is waited for",
  "rollout.val_kwargs.do_sample": "temperature 0 is greedy",
  "data.max_prompt_length": "prompts may be as long as max_model_len allows",
  "trainer_common.nnodes": "training runs on one machine",
  "trainer_common.n_gpus_per_node": "training runs on one device",
  "trainer_common.fsdp_config":
    "weights are not sharded, and trainer_common.optim.offload is what moves AdamW's state to the host",
  "trainer_common.mini_batch_num": "each step is one update",
  "trainer_common.ulysses_sequence_parallel_size": "training runs on one device",
  "trainer_common.save_trajectory_as_json_file": "the token log holds every episode",
  "trainer_common.log_freq": "every step is logged",
  "debug.debug_vllm_port": "there is one inference engine",
  "debug.debug_vllm_seed": "trainer_common.seed holds",
  "debug.debug_tensor_parallel_size": "training runs on one device",
  context_tracker: "timelines are always merged by token",
  "task_reader.env_service.env_action_preference": "an action is what the workflow sends",
  task_runner: "episodes run in worker threads",
  enable_experimental_interchange_server: "the server is always on",
  interchange_server: "the server is always on",
};

interface IdleKey {
  path: string;
  isIdle(config: AjetConfig): boolean;
  reason: string;
}

/** Sections of `task_reader`, one for each type. */
const READERS = ["jsonl_dataset_file", "dataset_file", "huggingface_dat_repo", "env_service", "random_dummy"] as const;

/** Keys of the schema that another key switches off. */
const IDLE_KEYS: readonly IdleKey[] = [
  ...READERS.map((reader) => ({
    path: `task_reader.${reader}`,
    isIdle: (config: AjetConfig) => config.task_reader.type !== reader,
    reason: "`task_reader.type` names another reader",
  })),
  {
    path: "task_judge.judge_args",
    isIdle: (config) => config.task_judge.judge_protocol === null,
    reason: "`task_judge.judge_protocol` names no judge",
  },
  {
    path: "rollout.gpu_memory_utilization",
    isIdle: ({ model }) => model.device === "cpu",
    reason: "it shares out a card's memory, and `model.device` is cpu",
  },
  {
    path: "rollout.untrained_agents",
    isIdle: ({ rollout }) => rollout.trainable_targets === null,
    reason: "`rollout.trainable_targets` is null, so all agents are trained",
  },
  {
    path: "rollout.agent_madness_termination",
    isIdle: ({ rollout }) => rollout.compute_madness_checklist.length === 0,
    reason: "`rollout.compute_madness_checklist` is empty",
  },
  {
    path: "rollout.agent_madness_reward",
    isIdle: ({ rollout }) => rollout.compute_madness_checklist.length === 0,
    reason: "`rollout.compute_madness_checklist` is empty",
  },
  {
    path: "rollout.val_kwargs.num_repeat",
    isIdle: ({ trainer_common }) => trainer_common.val_pass_n !== null,
    reason: "`trainer_common.val_pass_n` is set",
  },
  {
    path: "data.max_response_length",
    isIdle: (config) => !usesMaxResponseLength(config),
    reason:
      "only token_sum_fixed, the aggregation of dr-grpo, divides by it; max_response_length_in_one_turn limits completions",
  },
  {
    path: "trainer_common.total_epochs",
    isIdle: ({ trainer_common }) => trainer_common.total_training_steps !== null,
    reason: "`trainer_common.total_training_steps` is set",
  },
  ...(["tensorboard", "swanlab", "wandb", "mlflow"] as const).map((name) => ({
    path: `trainer_common.logger_options.${name}`,
    isIdle: (config: AjetConfig) => !loggerNames(config).includes(name),
    reason: `\`trainer_common.logger\` does not name ${name}`,
  })),
  {
    path: "trainer_common.optim.final_ratio",
    isIdle: ({ trainer_common }) => trainer_common.optim.schedule === "constant",
    reason: "`trainer_common.optim.schedule` is constant",
  },
];

/** True where the loss divides by `data.max_response_length`. */
export function usesMaxResponseLength(config: AjetConfig): boolean {
  const { preset, aggregation } = config.trainer_common.algorithm;
  return aggregation === undefined ? preset === "dr-grpo" : aggregation === "token_sum_fixed";
}

/** Takes AgentJet's keys without effect out of the tree. Returns one sentence for each. */
export function removeKeysWithoutEffect(tree: YamlTree): string[] {
  const notes: string[] = [];
  for (const [path, reason] of Object.entries(KEYS_WITHOUT_EFFECT)) {
    const [parent, key] = find(tree, path);
    if (parent === undefined || !(key in parent)) continue;
    delete parent[key];
    notes.push(sentence(path, reason));
  }
  return notes;
}

/** One sentence for each key that was given but that another key switches off. */
export function describeIdleKeys(tree: YamlTree, config: AjetConfig): string[] {
  const idle = IDLE_KEYS.filter(({ path, isIdle }) => {
    const [parent, key] = find(tree, path);
    return parent?.[key] !== undefined && isIdle(config);
  });
  return idle.map(({ path, reason }) => sentence(path, reason));
}

/**
 * One sentence for each key that was given but that the run's device switches off.
 * @param device As a model names it: "cpu", "cuda:0".
 */
export function describeKeysIdleOn(device: string, { trainer_common }: AjetConfig): string[] {
  if (device !== "cpu" || trainer_common.optim.offload === "none") return [];
  return [sentence("trainer_common.optim.offload", "the CPU computes in the host's memory")];
}

function sentence(path: string, reason: string): string {
  return `\`${path}\` has no effect here: ${reason}.`;
}

/** The mapping that a path's last key would stand in, and that key. */
function find(tree: YamlTree, path: string): [YamlTree | undefined, string] {
  const keys = path.split(".");
  const last = keys.pop() as string;
  let node: unknown = tree;
  for (const key of keys) node = isTree(node) ? node[key] : undefined;
  return [isTree(node) ? node : undefined, last];
}
