import { nativeAddon } from "./addon.js";
import { flattenCalls, type TreeCall } from "./call-arrays.js";
import { nativeCallSync, toInt32 } from "./native-call.js";
import { CALL_FATES } from "./trainer.js";
import type {
  AdvantageOptions,
  Advantages,
  CallFate,
  GrpoLoss,
  GrpoLossInputs,
  LossOptions,
  LossPreset,
  LossPresetChoices,
} from "./types.js";

/** Advantages of episodes within their groups; each episode counts once. */
export function computeAdvantages(
  rewards: Float64Array | readonly number[],
  groups: Int32Array | readonly number[],
  options: AdvantageOptions = {},
): Advantages {
  return nativeCallSync(computeAdvantages, () =>
    nativeAddon().computeAdvantages(
      Array.isArray(rewards) ? Float64Array.from(rewards) : (rewards as Float64Array),
      toInt32("computeAdvantages", "groups", groups),
      options,
    ),
  );
}

/** The policy loss of a whole step and its gradient, as the trainer computes them. */
export function grpoLoss(inputs: GrpoLossInputs, options: Partial<LossOptions> = {}): GrpoLoss {
  return nativeCallSync(grpoLoss, () => nativeAddon().grpoLoss(inputs, options));
}

/** One merged timeline of an episode. */
export interface LossMaskRow {
  episode: number;
  tokens: Int32Array;
  /** 1 where the token is trained in this row. A token that several rows share is trained in the first of them. */
  mask: Uint8Array;
}

/** The rows that a step's calls merge into, and what becomes of each call: what the trainer trains on, token by token. */
export function lossMask(calls: readonly TreeCall[]): { rows: LossMaskRow[]; fates: CallFate[] } {
  return nativeCallSync(lossMask, () => {
    const native = nativeAddon().lossMask(flattenCalls("lossMask", calls));
    const rows = Array.from(native.episodes, (episode, row) => {
      const [first, end] = [native.offsets[row], native.offsets[row + 1]];
      return { episode, tokens: native.tokens.slice(first, end), mask: native.mask.slice(first, end) };
    });
    return { rows, fates: Array.from(native.fates, (fate) => CALL_FATES[fate] as CallFate) };
  });
}

/** Every loss preset with every choice that it makes. */
export function lossPresets(): Record<LossPreset, LossPresetChoices> {
  return nativeAddon().lossPresets();
}
