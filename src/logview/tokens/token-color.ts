import type { Timeline } from "../api-types.js";

/** What a token's colour tells. */
export type ColorBy = "logprob" | "entropy" | "advantage";
export const COLOR_BYS: readonly ColorBy[] = ["logprob", "entropy", "advantage"];

/** Upper bounds of the levels: of -log p, of the entropy in nats, of the size of the advantage. */
const BOUNDS: Record<ColorBy, readonly number[]> = {
  logprob: [0.01, 0.05, 0.15, 0.4, 0.8, 1.5, 2.5, 4],
  entropy: [0.02, 0.1, 0.3, 0.6, 1, 1.5, 2, 3],
  advantage: [0.1, 0.3, 0.5, 0.8, 1.2, 1.6, 2, 2.5],
};

/** Levels of a colour, from light to dark. */
export const LEVELS = 9;

function level(by: ColorBy, value: number): number {
  const found = BOUNDS[by].findIndex((bound) => value < bound);
  return found < 0 ? LEVELS - 1 : found;
}

/**
 * The classes of a token: `out` (yellow) outside the loss, `in` (blue) inside, from `l0` (likely) to `l8` (unlikely); by
 * entropy `ent`, by advantage `pos` and `neg`.
 */
export function tokenClass(by: ColorBy, timeline: Timeline, token: number): string {
  const logprob = timeline.logprobs[token] ?? null;
  if (timeline.inLoss[token] !== 1) {
    return logprob === null ? "tok out" : `tok out sampled l${level("logprob", -logprob)}`;
  }
  if (by === "entropy") {
    const entropy = timeline.entropies[token] ?? null;
    return entropy === null ? "tok unknown" : `tok ent l${level(by, entropy)}`;
  }
  if (by === "advantage") {
    const advantage = timeline.advantages[token] ?? null;
    if (advantage === null) return "tok unknown";
    return `tok ${advantage < 0 ? "neg" : "pos"} l${level(by, Math.abs(advantage))}`;
  }
  return logprob === null ? "tok unknown" : `tok in l${level(by, -logprob)}`;
}
