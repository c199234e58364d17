import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const SCRIPT = fileURLToPath(new URL("../../bench/cuda/table.py", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ajet-bench-table-"));
afterAll(() => rmSync(folder, { recursive: true }));

const about = {
  about: "ajet",
  device: "a card",
  dtype: "bfloat16",
  date: "2026-11-23",
  commit: "abc",
  command: "run.sh",
};
const copy = { side: "ajet", figure: "copy", name: "4096 MiB", seconds: 0.002, bytes: 6e9 }; // 3 TB/s
const product = { side: "ajet", figure: "product", name: "dx", seconds: 0.001, flops: 8e11 }; // 800 TFLOP/s
const update = {
  side: "ajet",
  figure: "update",
  name: "qwen3-0.6b, 8 x (512 + 1024)",
  seconds: 0.1,
  flops: 3.2e13,
  tokens: 8192,
};
const twin = {
  ...update,
  side: "pytorch",
  flops: undefined,
  logprob_mean_difference: 0.01,
  grad_norm_difference: 0.01,
};

function table(lines: object[], ...args: string[]): { text: string; status: number | null } {
  const path = join(folder, "results.jsonl");
  // Python writes NaN, which JSON does not have.
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line).replace('"NaN"', "NaN")}\n`).join(""));
  const run = spawnSync("python3", [SCRIPT, path, ...args], { encoding: "utf8" });
  return { text: run.stdout + run.stderr, status: run.status };
}

describe("bench/cuda/table.py", () => {
  it("sets rates against the run's copy and product, times against the fastest twin, and both against targets", () => {
    const slow = { ...twin, variant: "eager", seconds: 0.3 };
    const fast = { ...twin, variant: "compiled", seconds: 0.16 };
    const adamw = { side: "ajet", figure: "adamw", name: "step, qwen3-0.6b", seconds: 0.004, bytes: 1.08e10 };
    const { text, status } = table([about, copy, product, update, adamw, slow, fast]);
    expect(text).toContain("copy 3,000 GB/s, product 800 TFLOP/s");
    expect(text).toContain("40.0%"); // 320 of 800 TFLOP/s
    expect(text).toContain("0.4 of product, target 0.35: holds");
    expect(text).toContain("160 (compiled)");
    expect(text).toContain("1.6 x PyTorch, target 1.7: MISSED");
    expect(text).toContain("0.9 of copy, target 0.85: holds");
    expect(status).toBe(0);
  });

  it("holds memory to at most its target", () => {
    const long = {
      ...update,
      figure: "long",
      name: "qwen3-0.6b, 1 x (1 + 16383)",
      tokens: 16384,
      peak_bytes: 13 * 2 ** 30,
    };
    const { text } = table([about, copy, product, long]);
    expect(text).toContain("13 GiB, target 12.5: MISSED");
    expect(text).toContain("tokens/s, target 20000: holds");
  });

  it("fails where the two sides compute different numbers, NaN included", () => {
    for (const wrong of [{ logprob_mean_difference: 0.2 }, { grad_norm_difference: "NaN" }]) {
      const { text, status } = table([about, copy, product, update, { ...twin, ...wrong }]);
      expect(text).toContain("DISAGREES: update qwen3-0.6b");
      expect(status).toBe(1);
    }
    const inexact = {
      side: "pytorch",
      figure: "decode",
      name: "d",
      seconds: 1,
      greedy_tokens: 24,
      greedy_tokens_agreeing: 23,
    };
    expect(table([about, copy, product, inexact]).status).toBe(0); // bf16 may draw others
    expect(table([{ ...about, dtype: "float32" }, copy, inexact]).text).toContain("23 of 24 greedy tokens agree");
  });

  it("writes a record for RESULTS.md", () => {
    const { text } = table([about, copy, product, update], "--markdown");
    expect(text).toContain("- 2026-11-23, commit abc\n- a card; ajet\n- `run.sh`");
    expect(text).toContain("| update | qwen3-0.6b, 8 x (512 + 1024) | 100 | 320 TFLOP/s, 81,920 tokens/s | 40.0% |");
  });

  it("fails where nothing was measured", () => {
    expect(table([about]).status).toBe(1);
  });
});
