import { z } from "zod";

/**
 * Every key under `ajet:` in a run's YAML, with its default. The names are AgentJet's where the meaning is the same.
 * `.describe()` texts make the configuration page.
 */

const path = z.string().min(1);
const count = z.number().int().min(1);
const whole = z.number().int().min(0);
const ratio = z.number().min(0).max(1);
const positive = z.number().positive();

const split = z.strictObject({ file_path: path.nullable().default(null).describe("JSONL file of this split") });

const jsonlReader = z
  .strictObject({
    training: split.prefault({}),
    validation: split.prefault({}),
    unseen: split.prefault({}).describe("A second held-out set, reported beside the first"),
  })
  .prefault({});

const taskReader = z
  .strictObject({
    type: z.enum(["jsonl_dataset_file", "dataset_file"]).default("jsonl_dataset_file").describe("Where tasks come from"),
    jsonl_dataset_file: jsonlReader,
    dataset_file: jsonlReader.describe("The seed's spelling of jsonl_dataset_file"),
  })
  .prefault({});

const rollout = z
  .strictObject({
    user_workflow: z.string().min(3).describe("path/to/file.ts->ExportedClass, or dotted.path->ExportedClass"),
    num_repeat: count.default(8).describe("Episodes a task, the group of GRPO"),
    temperature: z.number().min(0).max(10).default(1).describe("Where a request names none"),
    max_env_worker: count.default(64).describe("Episodes at once"),
    worker_threads: whole.default(0).describe("Threads that run workflows and judges; 0 is one per core, at most 4"),
    max_response_length_in_one_turn: count.default(256).describe("Tokens of one completion, where a request names none"),
    max_model_len: whole.default(0).describe("Tokens of prompt and completion; 0 is what the model takes"),
    max_num_seqs: count.default(64).describe("Sequences decoded together"),
    max_batch_tokens: count.default(512).describe("Rows of one inference pass"),
    kv_cache_mb: count.default(512).describe("Memory of the KV cache in MiB"),
    episode_timeout_s: positive.default(120).describe("An episode that takes longer is dropped"),
    max_attempts: count.default(3).describe("Runs of an episode that throws or times out, before it is dropped"),
    val_kwargs: z
      .strictObject({
        temperature: z.number().min(0).max(10).nullable().default(null).describe("null: as in training"),
        num_repeat: count.default(1).describe("Episodes a validation task"),
      })
      .prefault({}),
  });

const algorithm = z
  .strictObject({
    preset: z
      .enum(["ajet", "agentjet", "trl-grpo", "trl-dapo", "dr-grpo", "verl-grpo", "gspo", "cispo"])
      .default("ajet")
      .describe("Fixes every choice that the options below leave open"),
    adv_estimator: z.literal("grpo").default("grpo"),
    clip_ratio_low: positive.optional(),
    clip_ratio_high: positive.optional(),
    clip_ratio_dual: z.number().min(0).optional().describe("0 is off, else above 1"),
    aggregation: z.enum(["token_mean", "row_mean_token_mean", "token_sum_fixed", "row_mean_token_sum"]).optional(),
    advantage_scale: z.enum(["none", "group", "batch"]).optional(),
    std_ddof: z.union([z.literal(0), z.literal(1)]).optional(),
    std_epsilon: z.number().min(0).optional(),
    drop_equal_groups: z.boolean().optional(),
    entropy_coef: z.number().optional(),
  })
  .prefault({});

const optim = z
  .strictObject({
    lr: positive.default(1e-6),
    weight_decay: z.number().min(0).default(0.01),
    beta1: ratio.default(0.9),
    beta2: ratio.default(0.999),
    epsilon: positive.default(1e-8),
    schedule: z.enum(["constant", "linear", "cosine"]).default("constant"),
    warmup_steps: whole.default(0),
    final_ratio: ratio.default(0).describe("Of lr, at the end of linear and cosine"),
    max_grad_norm: z.number().min(0).default(1).describe("0 is off"),
  })
  .prefault({});

const trainerCommon = z
  .strictObject({
    total_training_steps: count.nullable().default(null).describe("null: from total_epochs"),
    total_epochs: count.default(50),
    seed: whole.default(42),
    save_freq: whole.default(20).describe("Steps between checkpoints; 0: only the last"),
    test_freq: whole.default(0).describe("Steps between evaluations while training; 0: before and after only"),
    val_before_train: z.boolean().default(true),
    keep_checkpoints: count.default(2).describe("Newest checkpoints kept, beside the best"),
    checkpoint_base_dir: path.nullable().default(null).describe("null: in the run's folder"),
    max_batch_tokens: count.default(4096).describe("Rows of one micro-batch of the update"),
    logger: z.union([z.string(), z.array(z.string())]).default(["console", "jsonl"]),
    algorithm,
    optim,
    use_kl_loss: z.boolean().optional().describe("Unset: as the preset has it"),
    kl_loss_coef: z.number().min(0).optional(),
    kl_loss_type: z.enum(["k1", "k2", "k3", "low_var_kl"]).optional(),
  })
  .prefault({});

/** The tree under `ajet:`. */
export const ajetSchema = z.strictObject({
  project_name: z.string().default("ajet"),
  experiment_name: z.string().nullable().default(null).describe("null: the YAML's name and the time"),
  experiment_dir: path.default("saved_experiments"),
  task_reader: taskReader,
  rollout,
  task_judge: z
    .strictObject({
      judge_type: z.literal("customized_protocol").default("customized_protocol"),
      judge_protocol: z.string().nullable().default(null).describe("null: the workflow returns the reward itself"),
    })
    .prefault({}),
  model: z.strictObject({
    path: path.describe("A Hugging Face folder"),
    device: z.string().regex(/^(auto|cpu|cuda(:\d+)?)$/).default("auto"),
    threads: whole.default(0).describe("0: one per core"),
  }),
  data: z
    .strictObject({
      train_batch_size: count.default(8).describe("Tasks a step"),
      max_response_length: count.default(1024).describe("Divisor of dr-grpo"),
      validation_limit: whole.default(0).describe("First tasks of the validation set; 0: all"),
    })
    .prefault({}),
  trainer_common: trainerCommon,
  debug: z
    .strictObject({ debug_max_parallel: count.default(4), debug_first_n_tasks: count.default(2) })
    .prefault({}),
});

/** A resolved configuration: every key has its value. */
export type AjetConfig = z.output<typeof ajetSchema>;

/** AgentJet's keys that have nothing to steer here, and why. They are accepted, and the run says so once. */
export const KEYS_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  backbone: "the backbone is chosen on the command line",
  "rollout.name": "there is one inference engine",
  "rollout.tensor_model_parallel_size": "training runs on one device",
  "rollout.n_vllm_engine": "there is one inference engine",
  "rollout.compute_madness_checklist": "not supported yet",
  "rollout.agent_madness_termination": "not supported yet",
  "rollout.agent_madness_reward": "not supported yet",
  "rollout.gamma": "rewards are given at the end of an episode",
  "data.max_prompt_length": "prompts may be as long as max_model_len allows",
  "trainer_common.nnodes": "training runs on one machine",
  "trainer_common.n_gpus_per_node": "training runs on one device",
  "trainer_common.fsdp_config": "weights are not sharded",
  "trainer_common.mini_batch_num": "each step is one update",
  "trainer_common.ulysses_sequence_parallel_size": "training runs on one device",
  "trainer_common.val_pass_n": "use rollout.val_kwargs.num_repeat",
  "context_tracker": "timelines are always merged by token",
  "task_runner": "episodes run in worker threads",
  "enable_experimental_interchange_server": "the server is always on",
  "interchange_server": "the server is always on",
};
