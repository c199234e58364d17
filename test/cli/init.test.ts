import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ajet, jsonLines, ROOT, readJson, settings, temporaryFolder } from "./ajet.js";

const folder = temporaryFolder();
const project = join(folder, "My Agent");

beforeAll(async () => {
  const { code, stderr } = await ajet(["init", project]);
  expect(stderr).toBe("");
  expect(code).toBe(0);
});

describe("ajet init", () => {
  it("writes a project with five sample tasks, under its own name and for this version of ajet", () => {
    expect(jsonLines(readFileSync(join(project, "tasks/train.jsonl"), "utf8"))).toHaveLength(5);
    const { name, dependencies } = readJson(project, "package.json");
    expect(name).toBe("my-agent");
    expect(join(project, dependencies.ajet.slice("file:".length), "package.json")).toBe(join(ROOT, "package.json"));
    expect(dependencies.openai).toBe(`^${readJson(ROOT, "package.json").dependencies.openai}`);
    expect(existsSync(join(project, ".gitignore"))).toBe(true);
    expect(existsSync(join(project, "gitignore"))).toBe(false);
    const { configurations } = readJson(project, ".vscode/launch.json");
    expect(configurations[0].program).toContain("node_modules/ajet/dist/cli/main.js");
  });

  it("writes code that type-checks against the package", () => {
    const modules = join(project, "node_modules");
    mkdirSync(join(modules, "@types"), { recursive: true });
    symlinkSync(ROOT, join(modules, "ajet"));
    for (const name of ["openai", "@types/node"]) symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [compiler, "-p", "tsconfig.json"], { cwd: project, stdio: "pipe" });
  });

  it("trains at once", async () => {
    const short = settings({ experiment_name: "first", "trainer_common.total_training_steps": 2 });
    const { code, stderr } = await ajet(["train", "ajet.yaml", ...short], { cwd: project });
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    const summary = readJson(project, "saved_experiments/first/summary.json");
    expect(summary).toMatchObject({ steps: 2, episodes: 80, episodes_dropped: 0, validation_tasks: 3 });
    expect(summary.tokens_trained).toBeGreaterThan(0);
    expect(summary.logprob_max_abs_diff).toBe(0);
  });

  it("overwrites nothing", async () => {
    writeFileSync(join(project, "agent.ts"), "mine");
    const { code, stderr } = await ajet(["init"], { cwd: project });
    expect(code).toBe(2);
    expect(stderr).toContain("agent.ts");
    expect(readFileSync(join(project, "agent.ts"), "utf8")).toBe("mine");
  });

  it("leaves the package.json of a folder as it is", async () => {
    const existing = join(folder, "existing");
    mkdirSync(existing);
    writeFileSync(join(existing, "package.json"), "{}");
    const { code, stderr } = await ajet(["init", existing]);
    expect(code).toBe(0);
    expect(stderr).toContain("needs ajet and openai");
    expect(readFileSync(join(existing, "package.json"), "utf8")).toBe("{}");
    expect(existsSync(join(existing, "agent.ts"))).toBe(true);
  });
});
