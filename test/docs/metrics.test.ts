import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ajet, jsonLines, temporaryFolder, tinyRun } from "../cli/ajet.js";

const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
const [steps = "", evaluations = ""] = page.split("## validation.jsonl");
const folder = temporaryFolder();

/** The first column of the tables in a text. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name as string);
}

function linesOf(file: string) {
  return jsonLines(readFileSync(join(folder, "metrics", file), "utf8"));
}

beforeAll(async () => {
  const values = { "trainer_common.total_training_steps": 2, "trainer_common.val_pass_n": 3 };
  const { code, stderr } = await ajet(["train", ...tinyRun(folder, "metrics", values)]);
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
});

describe("docs/metrics.md", () => {
  it("has the name of every metric that a step logs, and no other", () => {
    const logged = linesOf("metrics.jsonl");
    expect(logged).toHaveLength(2);
    for (const line of logged) {
      expect([...Object.keys(line), "workflow/<name>"].sort()).toEqual(namesIn(steps).sort());
    }
  });

  it("says what each metric is", () => {
    for (const row of steps.matchAll(/^\| `.*$/gm)) expect(row[0].split("|")[3]).toMatch(/\w{3}/);
  });

  it("has the name of every metric that an evaluation logs, and no other", () => {
    const logged = linesOf("validation.jsonl");
    expect(logged.map(({ step }) => step)).toEqual([0, 2]);
    const names = Object.keys(logged[0]).filter((name) => name.startsWith("val/"));
    const general = names.map((name) => name.slice("val/".length).replace(/(TGC@|pass_)3/, "$1N"));
    const known = new Set(general.map((name) => name.replace(/pass@\d/, "pass@k")));
    expect([...known].sort()).toEqual(namesIn(evaluations).sort());
    expect(names).toEqual(expect.arrayContaining(["val/pass@1", "val/pass@2", "val/pass@3"]));
    const {
      "val/TGC@3": some,
      "val/pass@3": pass,
      "val/total_tasks": tasks,
      "val/num_pass_3_tasks": solved,
    } = logged[1];
    expect([some, pass]).toEqual([solved / tasks, solved / tasks]);
    expect(logged[1]["val_greedy/pass_n"]).toBe(1);
  });
});
