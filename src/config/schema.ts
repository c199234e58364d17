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
/** What user code reads from `this.args`: plain data, not looked into. */
const userArgs = z.record(z.string(), z.unknown()).default({});

const split = z.strictObject({ file_path: path.nullable().default(null).describe("JSONL file of this split") });

const jsonlReader = z
  .strictObject({
    training: split.prefault({}),
    validation: split.prefault({}),
    unseen: split.prefault({}).describe("A second held-out set, reported beside the first"),
  })
  .prefault({});

const splitName = z.string().min(1);

const huggingFaceReader = z
  .strictObject({
    dataset_path: path
      .nullable()
      .default(null)
      .describe("owner/name or owner/name/config on the hub, or a folder with Parquet, JSONL, JSON or CSV files"),
    dataset_name: z.string().min(1).nullable().default(null).describe("The configuration, where the path names none"),
    revision: z.string().min(1).default("main").describe("Branch, tag or commit"),
    training_split: splitName.default("train").describe("Split to train on"),
    validation_split: splitName.nullable().default("test").describe("Held-out split; null: none"),
    unseen_split: splitName.nullable().default(null).describe("A second held-out set, reported beside the first"),
    question_field: z.string().min(1).nullable().default(null).describe("null: main_query, else question"),
    answer_field: z.string().min(1).nullable().default(null).describe("null: answer"),
  })
  .prefault({});

const envServiceReader = z
  .strictObject({
    env_url: z.url().default("http://127.0.0.1:8080").describe("Where the environment service listens"),
    env_type: z.string().min(1).default("default").describe("Which of its environments"),
    training_split: splitName.default("train").describe("Split to train on"),
    validation_split: splitName.nullable().default("dev").describe("Held-out split; null: none"),
    unseen_split: splitName.nullable().default(null).describe("A second held-out set, reported beside the first"),
    timeout_s: positive.default(300).describe("Of one request"),
    attempts: count.default(3).describe("Of a request that may be repeated; a step never is"),
  })
  .prefault({});

const randomDummyReader = z.strictObject({ count: count.default(1000).describe("Tasks of each split") }).prefault({});

const taskReader = z
  .strictObject({
    type: z
      .enum(["jsonl_dataset_file", "dataset_file", "huggingface_dat_repo", "env_service", "random_dummy"])
      .default("jsonl_dataset_file")
      .describe("Where tasks come from"),
    jsonl_dataset_file: jsonlReader,
    dataset_file: jsonlReader.describe("The seed's spelling of jsonl_dataset_file"),
    huggingface_dat_repo: huggingFaceReader,
    env_service: envServiceReader,
    random_dummy: randomDummyReader,
  })
  .prefault({});

const url = z.string().regex(/^https?:\/\//, "Expected a URL that starts with http:// or https://");

const untrainedAgents = z
  .strictObject({
    base_url: url.nullable().default(null).describe("OpenAI endpoint of the rest; null: a frozen copy of model.path"),
    model: z.string().min(1).nullable().default(null).describe("Model of that endpoint"),
    api_key_env: z
      .string()
      .min(1)
      .nullable()
      .default("OPENAI_API_KEY")
      .describe("Environment variable with its key; null: it wants none"),
  })
  .prefault({});

const episodeApi = z
  .strictObject({
    enabled: z.boolean().default(false).describe("Lets agents of other processes take episodes (ajet->ExternalAgent)"),
    host: z
      .string()
      .min(1)
      .default("127.0.0.1")
      .describe("Of the run's server, with the API or without; 0.0.0.0 lets other machines in"),
    port: whole
      .max(65535)
      .default(0)
      .describe("Of the run's server, with the API or without; 0: any free one, see episode_api.json"),
    api_key_env: z
      .string()
      .min(1)
      .default("AJET_EPISODE_API_KEY")
      .describe("Environment variable with the key; unset: a random one, see episode_api.json"),
    wait_s: positive.default(600).describe("How long an episode waits for an agent to take it"),
  })
  .prefault({});

const rollout = z.strictObject({
  user_workflow: z.string().min(3).describe("path/to/file.ts->ExportedClass, or dotted.path->ExportedClass"),
  workflow_args: userArgs.describe("Settings of the workflow's own: it finds them as `this.args`"),
  num_repeat: count.default(8).describe("Episodes a task, the group of GRPO"),
  temperature: positive
    .max(10)
    .default(1)
    .describe("Of every request in training; elsewhere where a request names none"),
  top_p: z.literal(1).default(1).describe("The trainer computes log-probs of the whole distribution"),
  max_env_worker: count.default(64).describe("Episodes at once"),
  worker_threads: whole.default(0).describe("Threads that run workflows and judges; 0 is one per core, at most 4"),
  max_response_length_in_one_turn: count.default(256).describe("Tokens of one completion, where a request names none"),
  max_model_len: whole.default(0).describe("Tokens of prompt and completion; 0 is what the model takes"),
  max_num_seqs: count.default(64).describe("Sequences decoded together"),
  max_batch_tokens: count.default(512).describe("Rows of one inference pass"),
  kv_cache_mb: count
    .nullable()
    .default(null)
    .describe("Memory of the KV cache in MiB; null: 512 on the CPU, on a card what gpu_memory_utilization leaves"),
  gpu_memory_utilization: positive
    .max(1)
    .default(0.9)
    .describe("Share of a card's memory that a run is planned into; operators and CUDA itself take from the rest"),
  episode_timeout_s: positive.default(120).describe("An episode that takes longer is dropped"),
  max_attempts: count.default(3).describe("Runs of an episode that throws or times out, before it is dropped"),
  trainable_targets: z
    .array(z.string().min(1))
    .min(1)
    .nullable()
    .default(null)
    .describe("Targets (or names) of the workflow's agents that are trained; null: all of them"),
  untrained_agents: untrainedAgents,
  episode_api: episodeApi,
  compute_madness_checklist: z
    .array(z.enum(["nonsense", "repetition", "non_ascii", "wrong_toolcall", "context_overflow"]))
    .default([])
    .describe("What makes an episode's replies count as mad, see debugging.md; empty: nothing is looked for"),
  agent_madness_termination: z.boolean().default(true).describe("An episode found mad gets no further replies"),
  agent_madness_reward: z.number().default(-1).describe("Of an episode found mad, in place of its own"),
  val_kwargs: z
    .strictObject({
      temperature: z.number().min(0).max(10).nullable().default(null).describe("null: as in training"),
      top_p: z.literal(1).default(1).describe("As in training"),
      top_k: z
        .union([z.literal(-1), z.literal(0)])
        .default(0)
        .describe("All tokens can be sampled: -1 and 0 are off"),
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
    adv_estimator: z.literal("grpo").default("grpo").describe("Advantages are relative to the group"),
    use_kl_in_reward: z.literal(false).default(false).describe("KL stands in the loss: use_kl_loss"),
    clip_ratio_low: positive.optional().describe("Ratios below 1 minus this are clipped"),
    clip_ratio_high: positive.optional().describe("Ratios above 1 plus this are clipped"),
    clip_ratio_dual: z.number().min(0).optional().describe("0 is off, else above 1"),
    cispo_low: z.number().min(0).optional().describe("Lower bound of the weight of cispo, as 1 minus this"),
    cispo_high: z.number().min(0).optional().describe("Upper bound of it, as 1 plus this"),
    ratio_level: z.enum(["token", "sequence"]).optional().describe("What gets one ratio; sequence is GSPO's"),
    aggregation: z
      .enum(["token_mean", "row_mean_token_mean", "token_sum_fixed", "row_mean_token_sum"])
      .optional()
      .describe("How the tokens' losses become one"),
    advantage_scale: z
      .enum(["none", "group", "batch"])
      .optional()
      .describe("Whose standard deviation divides the advantages"),
    std_ddof: z
      .union([z.literal(0), z.literal(1)])
      .optional()
      .describe("1: the unbiased standard deviation"),
    std_epsilon: z.number().min(0).optional().describe("Added to the standard deviation"),
    drop_equal_groups: z.boolean().optional().describe("Groups with equal rewards are left out"),
    entropy_coef: z.number().optional().describe("Of the entropy bonus"),
  })
  .prefault({});

const optim = z
  .strictObject({
    lr: positive
      .max(1, "Expected a learning rate above 0 and at most 1 (1e-7 to 1e-3 is usual)")
      .default(1e-6)
      .describe("Learning rate"),
    weight_decay: z.number().min(0).default(0.01).describe("AdamW's, decoupled"),
    beta1: ratio.default(0.9).describe("Decay of AdamW's first moment"),
    beta2: ratio.default(0.999).describe("Decay of its second moment"),
    epsilon: positive.default(1e-8).describe("Added to the root of the second moment"),
    schedule: z.enum(["constant", "linear", "cosine"]).default("constant").describe("Of lr after the warm-up"),
    warmup_steps: whole.default(0).describe("Steps in which lr rises from 0"),
    final_ratio: ratio.default(0).describe("Of lr, at the end of linear and cosine"),
    max_grad_norm: z.number().min(0).default(1).describe("Longer gradients are cut to this norm; 0 is off"),
    offload: z
      .enum(["none", "moments", "moments_and_master"])
      .default("none")
      .describe(
        "What lies in the host's memory instead of a card's, at the price of slower updates: AdamW's moments (8 bytes a " +
          "parameter), or those and the float32 master weights (12)",
      ),
  })
  .prefault({});

const taskJudge = z
  .strictObject({
    judge_type: z.literal("customized_protocol").default("customized_protocol").describe("A class in a file"),
    judge_protocol: z
      .string()
      .nullable()
      .default(null)
      .describe("As user_workflow, or ajet->MathAnswerAsJudge and so on; null: the workflow returns the reward itself"),
    judge_args: userArgs.describe("Settings of the judge's own: it finds them as `this.args`"),
    max_attempts: count.default(3).describe("Runs of a judge that throws, before the episode is dropped"),
    timeout_s: positive.default(300).describe("A judging that takes longer drops the episode"),
    alien_llm_model: z.string().min(1).nullable().default(null).describe("The LLM that judges ask"),
    alien_llm_response_length: count.default(512).describe("Tokens of its answer"),
    alien_llm_base_url: z
      .string()
      .regex(/^https?:\/\//, "Expected a URL that starts with http:// or https://")
      .default("https://api.openai.com/v1")
      .describe("Any endpoint of the OpenAI chat API"),
    alien_llm_api_key_env: z
      .string()
      .min(1)
      .nullable()
      .default("OPENAI_API_KEY")
      .describe("Environment variable with its key; null: it wants none"),
    alien_llm_temperature: z.number().min(0).max(2).default(0).describe("Of its answers; 0 is greedy"),
    alien_llm_params: userArgs.describe("Further fields of the request; null takes a field away"),
    alien_llm_max_parallel: count.default(8).describe("Its calls at once, in the whole run"),
    alien_llm_timeout_s: positive.default(60).describe("Of one call"),
    alien_llm_max_retries: whole
      .default(5)
      .describe("With exponential back-off, of 429, 5xx, time-outs and lost connections"),
    alien_llm_cache_dir: path
      .nullable()
      .default("saved_experiments/judge_cache")
      .describe("Its answers, for every run that asks the same; null: off"),
  })
  .prefault({});

/** Where metrics go. */
const logger = z.enum(["console", "jsonl", "tensorboard", "swanlab", "wandb", "mlflow"]);
const LOGGERS = "Expected console, jsonl, tensorboard, swanlab, wandb or mlflow, or a list of them";

const mlflowServer = url
  .refine((uri) => URL.canParse(uri), "Expected a URL such as http://127.0.0.1:5000")
  .nullable()
  .default(null)
  .describe("The server; null: MLFLOW_TRACKING_URI, else http://127.0.0.1:5000");

const loggerOptions = z
  .strictObject({
    python: path
      .nullable()
      .default(null)
      .describe("Interpreter with the packages of swanlab and wandb; null: python3 of the PATH"),
    close_timeout_s: positive.default(30).describe("How long a run's end waits for its loggers at most"),
    tensorboard: z
      .strictObject({
        dir: path
          .nullable()
          .default(null)
          .describe("Event files go to <here>/<run>; null: tensorboard/ in the run's folder"),
      })
      .prefault({}),
    swanlab: z
      .strictObject({
        mode: z
          .enum(["cloud", "local", "offline", "disabled"])
          .nullable()
          .default(null)
          .describe("null: SWANLAB_MODE, else cloud, which wants SWANLAB_API_KEY or a login"),
        host: url.nullable().default(null).describe("A server of one's own; null: SWANLAB_API_HOST, else swanlab.cn"),
        workspace: z.string().min(1).nullable().default(null).describe("null: the user's own"),
      })
      .prefault({}),
    wandb: z
      .strictObject({
        mode: z
          .enum(["online", "offline", "disabled"])
          .nullable()
          .default(null)
          .describe("null: WANDB_MODE, else online, which wants WANDB_API_KEY or a login"),
        host: url.nullable().default(null).describe("A server of one's own; null: WANDB_BASE_URL, else wandb.ai"),
        entity: z
          .string()
          .min(1)
          .nullable()
          .default(null)
          .describe("User or team; null: WANDB_ENTITY, else the login's own"),
      })
      .prefault({}),
    mlflow: z.strictObject({ tracking_uri: mlflowServer }).prefault({}),
  })
  .prefault({});

const trainerCommon = z
  .strictObject({
    total_training_steps: count.nullable().default(null).describe("null: from total_epochs"),
    total_epochs: count.default(50).describe("Where total_training_steps is null"),
    seed: whole.default(42).describe("Of every draw: same seed, same run"),
    save_freq: whole.default(20).describe("Steps between checkpoints; 0: only the best and the last"),
    test_freq: whole.default(0).describe("Steps between evaluations while training; 0: before and after only"),
    val_pass_n: count
      .nullable()
      .default(null)
      .describe("Episodes a validation task; null: rollout.val_kwargs.num_repeat"),
    val_before_train: z.boolean().default(true).describe("An evaluation before the first step"),
    keep_checkpoints: count.default(2).describe("Newest checkpoints kept, beside the best"),
    checkpoint_base_dir: path
      .nullable()
      .default(null)
      .describe("Checkpoints go to <here>/<project_name>/<run>/step_N; null: to checkpoints/ in the run's folder"),
    max_batch_tokens: count.default(4096).describe("Rows of one micro-batch; longer paths run in segments"),
    recompute: z
      .enum(["auto", "none", "layers"])
      .default("auto")
      .describe(
        "What the backward pass computes again rather than keeping it: layers is all but each layer's input (less memory, " +
          "up to a third more work, the same bits); auto: layers where the device would run out of memory, else none",
      ),
    logger: z
      .union([logger, z.array(logger)], LOGGERS)
      .default(["console", "jsonl"])
      .describe(
        "console: a line a step on the terminal, which a single name other than jsonl brings along. metrics.jsonl is " +
          "written in any case. See loggers.md",
      ),
    logger_options: loggerOptions,
    token_log: z
      .strictObject({
        keep_steps: whole.default(0).describe("Newest steps kept in tokens/, or some more; 0: all"),
        max_mb: whole.default(4096).describe("Size in MiB at which tokens/ drops its oldest steps; 0: no limit"),
      })
      .prefault({}),
    algorithm,
    optim,
    use_kl_loss: z.boolean().optional().describe("Unset: as the preset has it"),
    kl_loss_coef: positive.optional().describe("Unset: as the preset has it, else 0.002"),
    kl_loss_type: z.enum(["k1", "k2", "k3", "low_var_kl"]).optional().describe("Unset: k3, which is low_var_kl"),
  })
  .prefault({});

/** The tree under `ajet:`. */
export const ajetSchema = z.strictObject({
  project_name: z.string().min(1).default("ajet").describe("Noted in summary.json; a folder below checkpoint_base_dir"),
  experiment_name: z
    .string()
    .regex(/^[^/]+$/, "Expected a name without slashes")
    .nullable()
    .default(null)
    .describe("null: the YAML's name and the time"),
  experiment_dir: path.default("saved_experiments").describe("Runs go to <here>/<experiment_name>"),
  task_reader: taskReader,
  rollout,
  task_judge: taskJudge,
  model: z.strictObject({
    path: path.describe("A Hugging Face folder"),
    device: z
      .string()
      .regex(/^(auto|cpu|cuda(:\d+)?)$/)
      .default("auto")
      .describe("auto, cpu, cuda or cuda:N; auto takes a card where there is one"),
    threads: whole.default(0).describe("Of the CPU backend; 0: one per core"),
    memory_limit_mb: count
      .nullable()
      .default(null)
      .describe("Most memory in MiB that weights, KV cache and updates may take on the device; null: all there is"),
    share_weights: z
      .boolean()
      .default(true)
      .describe("Other processes of this user may serve a run's weights while it goes on (ajet serve --attach)"),
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
    .strictObject({
      debug_max_parallel: count.default(4).describe("Episodes at once, with --backbone debug"),
      debug_first_n_tasks: count.default(2).describe("First training tasks that --backbone debug runs"),
    })
    .prefault({}),
});

/** A resolved configuration: every key has its value. */
export type AjetConfig = z.output<typeof ajetSchema>;
