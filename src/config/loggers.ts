import type { AjetConfig } from "./schema.js";

type LoggerNames = Exclude<AjetConfig["trainer_common"]["logger"], string>;

/** The loggers of a run, each once. A single name stands for the console and it, as in AgentJet; jsonl is quiet. */
export function loggerNames({ trainer_common: { logger } }: AjetConfig): LoggerNames {
  if (typeof logger !== "string") return [...new Set(logger)];
  return logger === "jsonl" ? ["jsonl"] : [...new Set<LoggerNames[number]>(["console", logger])];
}
