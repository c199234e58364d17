import type { EnvServiceSettings } from "./env-service-client.js";

/** The environment service of a run's configuration; none where its tasks come from elsewhere. */
export function envServiceOf(config: unknown): EnvServiceSettings | undefined {
  const { task_reader: reader } = (config ?? {}) as {
    task_reader?: { type?: string; env_service?: EnvServiceSettings };
  };
  return reader?.type === "env_service" ? reader.env_service : undefined;
}
