import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { Patience } from "../../src/tasks/hub/hub-api.js";
import type { HubSettings } from "../../src/tasks/hub/hub-settings.js";
import { temporaryFolder } from "../temporary-folder.js";
import { HubServer, type RepoFile } from "./hub-server.js";

export { temporaryFolder };

/** The repository that `fixtures/make_gsm8k_parquet.py` made. */
export const GSM8K = fileURLToPath(new URL("./fixtures/gsm8k", import.meta.url));

const PROBLEMS = fileURLToPath(new URL("../../tutorial/example_math_agent/data/", import.meta.url));

/** The rows of that repository, from the files that it was made of. */
export function standInRows(split: "train" | "test"): { question: string; answer: string }[] {
  const [name, count] = split === "train" ? ["train", 30] : ["heldout", 10];
  const lines = readFileSync(join(PROBLEMS, `${name}.jsonl`), "utf8")
    .split("\n")
    .slice(0, Number(count));
  return lines.map((line) => {
    const { question, answer } = JSON.parse(line) as { question: string; answer: string };
    return { question, answer };
  });
}

/** Tests do not wait long. */
export const HASTY: Patience = { attempts: 2, pauseMs: 5, idleMs: 300 };

/** The files of a folder as a repository; Parquet lies in LFS. */
export function repoOf(folder: string): Map<string, RepoFile> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    paths.map((path) => [
      path.slice(folder.length + 1),
      { content: readFileSync(path), isLfs: path.endsWith(".parquet") },
    ]),
  );
}

/** A hub with the small GSM8K, and an empty cache to read it into. */
export async function hubWithGsm8k(folder = GSM8K): Promise<{ hub: HubServer; settings: HubSettings; home: string }> {
  const hub = await HubServer.start();
  hub.repos.set("openai/gsm8k", repoOf(folder));
  onTestFinished(() => hub.stop());
  const home = temporaryFolder();
  return { hub, home, settings: { endpoint: hub.url, cacheFolder: join(home, "hub"), offline: false } };
}
