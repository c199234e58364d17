import type { AjetConfig } from "../config/schema.js";
import { usesMaxResponseLength } from "../config/without-effect.js";
import { AjetError, ConfigError } from "../native/errors.js";
import { grpoLoss, lossPresets } from "../native/losses.js";
import type { LossOptions, LossPresetChoices, TrainerOptions } from "../native/types.js";

/** AgentJet's coefficient, for a preset without KL. */
const KL_COEFFICIENT = 0.002;

/**
 * The loss as the configuration has it: a preset and what departs from it.
 * @throws ConfigError on an option that the loss would not honour.
 */
export function lossOptions(config: AjetConfig): LossOptions {
  const { algorithm } = config.trainer_common;
  const preset = lossPresets()[algorithm.preset];
  const options = defined({
    preset: algorithm.preset,
    clipLow: algorithm.clip_ratio_low,
    clipHigh: algorithm.clip_ratio_high,
    dualClip: algorithm.clip_ratio_dual,
    cispoLow: algorithm.cispo_low,
    cispoHigh: algorithm.cispo_high,
    level: algorithm.ratio_level,
    aggregation: algorithm.aggregation,
    advantageScale: algorithm.advantage_scale,
    stdDdof: algorithm.std_ddof,
    stdEpsilon: algorithm.std_epsilon,
    dropEqualGroups: algorithm.drop_equal_groups,
    entropyCoef: algorithm.entropy_coef,
    ...klOptions(config, preset),
    maxResponseLength: usesMaxResponseLength(config) ? config.data.max_response_length : undefined,
  }) as unknown as LossOptions;
  checkHonoured(config, preset);
  checkTogether(options, preset);
  return options;
}

/** True where the loss has a KL term, so that the start weights must be kept. */
export function needsReference(config: AjetConfig): boolean {
  const { algorithm, use_kl_loss } = config.trainer_common;
  return use_kl_loss ?? lossPresets()[algorithm.preset].kl !== "none";
}

function klOptions(config: AjetConfig, preset: LossPresetChoices): Pick<Partial<LossOptions>, "kl" | "klCoef"> {
  const { use_kl_loss, kl_loss_coef, kl_loss_type } = config.trainer_common;
  if (needsReference(config)) {
    const kl = kl_loss_type === "low_var_kl" ? "k3" : kl_loss_type;
    return {
      kl: kl ?? (preset.kl === "none" ? "k3" : preset.kl),
      klCoef: kl_loss_coef ?? (preset.klCoef > 0 ? preset.klCoef : KL_COEFFICIENT),
    };
  }
  const given = Object.entries({ kl_loss_coef, kl_loss_type }).find(([, value]) => value !== undefined)?.[0];
  if (given !== undefined) {
    const why =
      use_kl_loss === false
        ? "`trainer_common.use_kl_loss` is false"
        : `the preset ${config.trainer_common.algorithm.preset} has no KL`;
    throw new ConfigError(
      `\`trainer_common.${given}\` has no effect: ${why}. Set \`trainer_common.use_kl_loss\` to true, or remove it`,
    );
  }
  return preset.kl === "none" ? {} : { kl: "none", klCoef: 0 };
}

/** An option that the loss does not look at is an error, never a silent no-op. */
function checkHonoured(config: AjetConfig, preset: LossPresetChoices): void {
  const { algorithm } = config.trainer_common;
  const unused: (keyof typeof algorithm)[] = [
    ...(preset.kind === "cispo"
      ? (["clip_ratio_low", "clip_ratio_high", "clip_ratio_dual"] as const)
      : (["cispo_low", "cispo_high"] as const)),
    ...((algorithm.advantage_scale ?? preset.advantageScale) === "none" ? (["std_ddof", "std_epsilon"] as const) : []),
  ];
  const given = unused.find((key) => algorithm[key] !== undefined);
  if (given === undefined) return;
  throw new ConfigError(
    `\`trainer_common.algorithm.${given}\` has no effect on this loss (preset ${algorithm.preset}, ` +
      `advantage_scale ${algorithm.advantage_scale ?? preset.advantageScale}): remove it`,
  );
}

/** Has the native core look at the options together, before anything is loaded. */
function checkTogether(options: LossOptions, preset: LossPresetChoices): void {
  const none = new Float32Array(0);
  const inputs = {
    logprobs: none,
    oldLogprobs: none,
    advantages: new Float64Array(0),
    rows: new Int32Array(0),
    ...((options.kl ?? preset.kl) === "none" ? {} : { refLogprobs: none }),
    ...((options.entropyCoef ?? 0) === 0 ? {} : { entropies: none }),
  };
  try {
    grpoLoss(inputs, options);
  } catch (error) {
    if (!(error instanceof AjetError)) throw error;
    throw new ConfigError(`\`trainer_common.algorithm\` does not fit together: ${error.message}`, { cause: error });
  }
}

/** The optimizer as the configuration has it. */
export function trainerOptions(config: AjetConfig, totalSteps: number): TrainerOptions {
  const { optim, max_batch_tokens, recompute } = config.trainer_common;
  return {
    learningRate: optim.lr,
    beta1: optim.beta1,
    beta2: optim.beta2,
    epsilon: optim.epsilon,
    weightDecay: optim.weight_decay,
    maxGradNorm: optim.max_grad_norm,
    schedule: optim.schedule,
    warmupSteps: optim.warmup_steps,
    totalSteps,
    finalRatio: optim.final_ratio,
    maxBatchTokens: max_batch_tokens,
    offload: optim.offload,
    recompute,
    reference: needsReference(config),
  };
}

function defined(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
