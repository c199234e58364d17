import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { generatedStep, type StepShape, tokenBytes } from "../../../bench/campaigns/generated-steps.mjs";
import { type TokenLogOptions, TokenLogWriter } from "../../../src/report/token-log/writer.js";

/** Small: two groups of three. */
export const SHAPE: StepShape = { groups: 2, episodes: 3, turns: 3, prompt: 20, sampled: 8, observed: 4 };

/** A folder for each test of the file. */
export function logFolder(): { path: string; segments(): string[] } {
  const folder = {
    path: "",
    segments: () =>
      readdirSync(folder.path)
        .sort()
        .map((name) => join(folder.path, name)),
  };
  beforeEach(() => {
    folder.path = mkdtempSync(join(tmpdir(), "ajet-token-log-"));
  });
  afterEach(() => rmSync(folder.path, { recursive: true }));
  return folder;
}

/** Writes generated steps. */
export async function writeSteps(
  folder: string,
  steps: readonly number[],
  options: Partial<TokenLogOptions> = {},
  shape = SHAPE,
): Promise<void> {
  const writer = await TokenLogWriter.open(folder, { lastStep: Number.MAX_SAFE_INTEGER, tokenBytes, ...options });
  for (const step of steps) writer.append(step, generatedStep(step, shape));
  writer.close();
}
