import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { ROOT } from "../../bench/campaigns/ajet.mjs";

export * from "../../bench/campaigns/ajet.mjs";

export const MODEL = join(ROOT, "models/ajet-tiny");

/** A folder that is removed after the test file, or after the test that asks for it. */
export function temporaryFolder(afterTest = false): string {
  const folder = mkdtempSync(join(tmpdir(), "ajet-cli-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (afterTest) onTestFinished(remove);
  else process.on("exit", remove);
  return folder;
}

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
