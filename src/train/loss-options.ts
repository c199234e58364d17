import type { AjetConfig } from "../config/schema.js";
import type { LossOptions, TrainerOptions } from "../native/types.js";

/** The loss as the configuration has it: a preset and what departs from it. */
export function lossOptions(config: AjetConfig): LossOptions {
  const { algorithm, use_kl_loss, kl_loss_coef, kl_loss_type } = config.trainer_common;
  const kl = use_kl_loss === false ? "none" : kl_loss_type === "low_var_kl" ? "k3" : kl_loss_type;
  return defined({
    preset: algorithm.preset,
    clipLow: algorithm.clip_ratio_low,
    clipHigh: algorithm.clip_ratio_high,
    dualClip: algorithm.clip_ratio_dual,
    aggregation: algorithm.aggregation,
    advantageScale: algorithm.advantage_scale,
    stdDdof: algorithm.std_ddof,
    stdEpsilon: algorithm.std_epsilon,
    dropEqualGroups: algorithm.drop_equal_groups,
    entropyCoef: algorithm.entropy_coef,
    kl: kl ?? (use_kl_loss ? "k3" : undefined),
    klCoef: use_kl_loss === false ? 0 : (kl_loss_coef ?? (use_kl_loss ? 0.002 : undefined)),
    maxResponseLength:
      algorithm.preset === "dr-grpo" || algorithm.aggregation === "token_sum_fixed" ? config.data.max_response_length : undefined,
  }) as unknown as LossOptions;
}

/** True where the loss has a KL term, so that the start weights must be kept. */
export function needsReference(config: AjetConfig): boolean {
  const { algorithm, use_kl_loss } = config.trainer_common;
  return use_kl_loss ?? (algorithm.preset === "agentjet" || config.trainer_common.kl_loss_coef !== undefined);
}

/** The optimizer as the configuration has it. */
export function trainerOptions(config: AjetConfig, totalSteps: number): TrainerOptions {
  const { optim, max_batch_tokens } = config.trainer_common;
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
    reference: needsReference(config),
  };
}

function defined(options: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
