import { createHash, randomBytes } from "node:crypto";

/** What an episode is, from which its draws follow. */
export interface EpisodeIdentity {
  runSeed: number | bigint | string;
  /** What the episodes are run for, e.g. `train` or `eval/validation/greedy`. */
  purpose: string;
  step: number;
  taskId: string;
  sample: number;
  /** From 1. */
  attempt: number;
}

/** 32 hexadecimal digits. Equal for a run that is resumed, whatever ran beside the episode. */
export function episodeUuid(identity: EpisodeIdentity): string {
  const { runSeed, purpose, step, taskId, sample, attempt } = identity;
  const key = JSON.stringify(["episode", String(runSeed), purpose, step, taskId, sample, attempt]);
  return createHash("sha256").update(key).digest("hex").slice(0, 32);
}

/** 64 bits that the server mixes into each of the episode's draws. */
export function sessionSeed(uuid: string): bigint {
  return createHash("sha256").update(`session/${uuid}`).digest().readBigUInt64LE(0);
}

/** A new key, which nothing that is drawn depends on. */
export function newApiKey(): string {
  return `sk-ajet-${randomBytes(24).toString("hex")}`;
}
