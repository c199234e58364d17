import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** Where the hub is, and who asks; from the variables that Python's `huggingface_hub` reads. */
export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  token?: string;
  /** Of the hub's cache, shared with Python. */
  cacheFolder: string;
  /** Only what the cache has. */
  offline: boolean;
}

/** Reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE` and `HF_HUB_OFFLINE`. */
export function hubSettings(env: NodeJS.ProcessEnv = process.env): HubSettings {
  const home = env["HF_HOME"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "huggingface");
  const token = env["HF_TOKEN"]?.trim() || storedToken(env["HF_TOKEN_PATH"] || join(home, "token"));
  return {
    endpoint: (env["HF_ENDPOINT"] || "https://huggingface.co").replace(/\/+$/, ""),
    cacheFolder: env["HF_HUB_CACHE"] || join(home, "hub"),
    offline: /^(1|on|yes|true)$/i.test(env["HF_HUB_OFFLINE"] ?? ""),
    ...(token ? { token } : {}),
  };
}

/** What `hf auth login` left. */
function storedToken(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return undefined;
  }
}
