import { setTimeout as sleep } from "node:timers/promises";
import type { Judge, JudgeContext, JudgedEpisode, JudgeLlm, Judgement } from "../agent/judge.js";
import { LlmError } from "../judges/llm/llm-error.js";
import { ConfigError } from "../native/errors.js";
import { blame, describeThrown, EpisodeError, isRecord } from "./episode-error.js";
import type { UserFactory } from "./user-code.js";

/** Reward from which an episode counts as a success, unless workflow or judge say so. */
export const SUCCESS_REWARD = 1;

/** How judges are run. */
export interface JudgeSetup {
  config: Readonly<Record<string, unknown>>;
  llm: JudgeLlm;
}

/** Before the second run of a judge; doubles from one run to the next. */
const FIRST_DELAY_MS = 50;
const DEFAULT_ATTEMPTS = 3;

/** Judges one episode, with instances of its own. @throws EpisodeError */
export function judgeEpisode(
  judge: UserFactory<Judge>,
  { workflowTask, output, ...trace }: JudgedEpisode,
  setup: JudgeSetup,
  signal: AbortSignal,
): Promise<Judgement> {
  return judging(setup, signal, async (context) =>
    checkJudgement(await judge(setup.config).computeReward(workflowTask, output, { ...trace, ...context })),
  );
}

/** Judges a task's episodes together. @throws EpisodeError */
export function judgeGroup(
  judge: UserFactory<Judge>,
  episodes: readonly JudgedEpisode[],
  setup: JudgeSetup,
  signal: AbortSignal,
): Promise<Judgement[]> {
  return judging(setup, signal, async (context) => {
    const judgements: unknown = await judge(setup.config).computeGroupRewards?.(episodes, context);
    if (!Array.isArray(judgements) || judgements.length !== episodes.length) {
      const shown = Array.isArray(judgements) ? `${judgements.length}` : describeThrown(judgements);
      throw new EpisodeError("judge", `Expected ${episodes.length} judgements from the judge but received ${shown}`);
    }
    return judgements.map(checkJudgement);
  });
}

/** Runs a judge until it does not throw: the judging is repeated, never the episode. */
async function judging<T>(
  { config, llm }: JudgeSetup,
  signal: AbortSignal,
  judge: (context: JudgeContext) => Promise<T>,
): Promise<T> {
  const { max_attempts: attempts = DEFAULT_ATTEMPTS } =
    (config as { task_judge?: { max_attempts?: number } }).task_judge ?? {};
  for (let attempt = 1; ; attempt++) {
    try {
      return await blame("judge", "The judge", () => judge({ llm, attempt, signal }));
    } catch (error) {
      const { cause } = error as EpisodeError;
      const isFinal = cause instanceof ConfigError || cause instanceof LlmError;
      if (isFinal || attempt >= attempts || signal.aborted) throw error;
      await sleep(FIRST_DELAY_MS * 2 ** (attempt - 1), undefined, { signal });
    }
  }
}

function checkParts(parts: unknown): Record<string, number> {
  const [name, value] = isRecord(parts)
    ? (Object.entries(parts).find(([, part]) => !Number.isFinite(part)) ?? [])
    : ["", parts];
  if (name === undefined) return { ...(parts as Record<string, number>) };
  const received = typeof value === "number" ? String(value) : describeThrown(value);
  const expected = name === "" ? "an object of numbers for `parts`" : `a finite number for \`parts.${name}\``;
  throw new EpisodeError("judge", `Expected ${expected} from the judge but received ${received}`);
}

function checkJudgement(judgement: unknown): Judgement {
  const { reward, isSuccess, reason, parts } = (isRecord(judgement) ? judgement : {}) as Partial<Judgement>;
  if (typeof reward !== "number" || !Number.isFinite(reward)) {
    const shown = typeof reward === "number" ? String(reward) : describeThrown(judgement);
    throw new EpisodeError(
      "judge",
      `Expected { reward: a finite number, isSuccess } from the judge but received ${shown}`,
    );
  }
  return {
    reward,
    isSuccess: isSuccess === undefined ? reward >= SUCCESS_REWARD : isSuccess === true,
    ...(typeof reason === "string" ? { reason } : {}),
    ...(parts === undefined ? {} : { parts: checkParts(parts) }),
  };
}
