import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../../bench/campaigns/ajet.mjs";

export * from "../../bench/campaigns/ajet.mjs";
export { temporaryFolder } from "../temporary-folder.js";

export const MODEL = join(ROOT, "models/ajet-tiny");

/** The objects of a JSONL text. */
// biome-ignore lint/suspicious/noExplicitAny: what tests look into
export function jsonLines(text: string): any[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

// biome-ignore lint/suspicious/noExplicitAny: what tests look into
export function readJson(...path: string[]): any {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}
