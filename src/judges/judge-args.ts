import { z } from "zod";
import { ConfigError } from "../native/errors.js";

/** Reads `task_judge.judge_args`. @throws ConfigError naming key, value and what is expected. */
export function readArgs<Schema extends z.ZodType>(schema: Schema, args: unknown): z.output<Schema> {
  const parsed = schema.safeParse(args ?? {});
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const path = ["task_judge.judge_args", ...issue.path].join(".");
    if (issue.code !== "unrecognized_keys") return `\`${path}\`: ${issue.message}`;
    const known = Object.keys((schema as unknown as z.ZodObject).shape).join(", ");
    return `\`${path}.${issue.keys[0]}\` is not a setting of this judge: known here: ${known}`;
  });
  throw new ConfigError(lines.join("\n"));
}

/** Taken once from an episode's reward. All of them together stay below 1, so that a right answer beats a wrong one. */
const penalty = z.number().min(0).max(0.4).default(0);

/** Settings that the judges of answers share. */
export const PENALTY_ARGS = {
  /** For a reply with a `<tool_call>` that is no valid call. */
  malformed_tool_call_penalty: penalty,
  /** For a call of a tool with Python `code` that prints nothing. */
  missing_print_penalty: penalty,
};

export const penaltyArgs = z.strictObject(PENALTY_ARGS);

export type PenaltyArgs = z.output<typeof penaltyArgs>;
