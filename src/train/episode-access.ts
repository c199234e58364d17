import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { AjetConfig } from "../config/schema.js";
import type { ServerOptions } from "../serve/contract.js";
import { writeFileAtomically } from "./atomic-file.js";

/** Name of the file in a run's folder that tells agents outside where to find the run. */
export const EPISODE_API_FILE = "episode_api.json";

/** The server's part of `rollout.episode_api`; host and port hold without the API, too. */
export function episodeServerOptions({ rollout }: AjetConfig): Pick<ServerOptions, "host" | "port" | "episodeApiKey"> {
  const { enabled, host, port, api_key_env } = rollout.episode_api;
  if (!enabled) return { host, port };
  const episodeApiKey = process.env[api_key_env] || `sk-ajet-run-${randomBytes(24).toString("hex")}`;
  return { host, port, episodeApiKey };
}

/** Address and key of a run's episode API. */
export interface EpisodeAccess {
  baseUrl: string;
  apiKey: string;
}

/** Writes address and key where only this user can read them. Returns the file. */
export function writeEpisodeAccess(folder: string, { baseUrl, apiKey }: EpisodeAccess): string {
  const file = join(folder, EPISODE_API_FILE);
  writeFileAtomically(file, `${JSON.stringify({ base_url: baseUrl, api_key: apiKey }, null, 2)}\n`, 0o600);
  return file;
}
