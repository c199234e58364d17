import { ConfigError } from "../../native/errors.js";

/** The LLM that judges ask, as `task_judge.alien_llm_*` has it. */
export interface LlmSettings {
  /** Ends before `/chat/completions`. */
  baseUrl: string;
  model: string;
  /** Absent where the endpoint wants none. */
  apiKey?: string;
  temperature: number;
  maxTokens: number;
  /** Fields of the request beside these; `null` takes one away. */
  params: Readonly<Record<string, unknown>>;
  /** Calls under way at once, in the whole run. */
  maxParallel: number;
  /** Of one try. */
  timeoutMs: number;
  /** Tries after the first. */
  maxRetries: number;
  /** Before the first retry; doubles from one to the next. */
  firstDelayMs: number;
  /** Absent: no cache. */
  cacheFolder?: string;
}

/** Where the environment has a key. */
export type Environment = Readonly<Record<string, string | undefined>>;

interface TaskJudgeKeys {
  alien_llm_model?: string | null;
  alien_llm_response_length?: number;
  alien_llm_base_url?: string;
  alien_llm_api_key_env?: string | null;
  alien_llm_temperature?: number;
  alien_llm_params?: Record<string, unknown>;
  alien_llm_max_parallel?: number;
  alien_llm_timeout_s?: number;
  alien_llm_max_retries?: number;
  alien_llm_cache_dir?: string | null;
}

const FIRST_DELAY_MS = 500;

/**
 * Reads a run's configuration, or what a test gives of it.
 * @throws ConfigError where no model is named, or where the environment has no key.
 */
export function llmSettings(config: unknown, environment: Environment = process.env): LlmSettings {
  const keys = (config as { task_judge?: TaskJudgeKeys } | undefined)?.task_judge ?? {};
  const { alien_llm_model: model, alien_llm_cache_dir: cacheFolder } = keys;
  if (!model) {
    throw new ConfigError(
      "`task_judge.alien_llm_model` is missing: this judge asks an LLM. Name a model that " +
        `${keys.alien_llm_base_url ?? "`task_judge.alien_llm_base_url`"} has`,
    );
  }
  return {
    baseUrl: (keys.alien_llm_base_url ?? "https://api.openai.com/v1").replace(/\/+$/, ""),
    model,
    ...apiKeyOf(keys, environment),
    temperature: keys.alien_llm_temperature ?? 0,
    maxTokens: keys.alien_llm_response_length ?? 512,
    params: keys.alien_llm_params ?? {},
    maxParallel: keys.alien_llm_max_parallel ?? 8,
    timeoutMs: (keys.alien_llm_timeout_s ?? 60) * 1000,
    maxRetries: keys.alien_llm_max_retries ?? 5,
    firstDelayMs: FIRST_DELAY_MS,
    ...(cacheFolder ? { cacheFolder } : {}),
  };
}

function apiKeyOf({ alien_llm_api_key_env: name = "OPENAI_API_KEY" }: TaskJudgeKeys, environment: Environment) {
  if (name === null) return {};
  const apiKey = environment[name]?.trim();
  if (!apiKey) {
    throw new ConfigError(
      `The environment variable ${name} is not set: the judge's LLM needs its key there. Set it, name another variable in ` +
        "`task_judge.alien_llm_api_key_env`, or set that to null for an endpoint without keys",
    );
  }
  return { apiKey };
}
