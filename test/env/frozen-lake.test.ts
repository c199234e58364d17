import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FrozenLakeServer } from "../../tutorial/example_frozenlake/env-server.js";
import { drawMaps } from "../../tutorial/example_frozenlake/maps.js";
import { supervisedMaps } from "../../tutorial/example_frozenlake/recipe/supervised-walks.js";
import { type Habit, walkOver } from "../../tutorial/example_frozenlake/recipe/walks.js";
import { ajet, ROOT, readJson, temporaryFolder } from "../cli/ajet.js";

const YAML = join(ROOT, "tutorial/example_frozenlake/frozenlake.yaml");
const MODEL = join(ROOT, "models/ajet-lake");

describe("the maps", () => {
  it("are held out from the run and from the recipe alike", () => {
    const heldOut = new Set(drawMaps("dev", 200, true).map(({ layout }) => layout));
    expect(heldOut.size).toBe(200);
    const trained = [...drawMaps("train", 1024, false), ...supervisedMaps()];
    expect(trained.filter(({ layout }) => heldOut.has(layout))).toEqual([]);
  });

  it("run out", () => {
    expect(() => drawMaps("all", 600, true)).toThrow(/Expected fewer maps than 600/);
  });
});

describe("a supervised walker", () => {
  const maps = supervisedMaps().slice(0, 300);
  const rate = (habit: Habit) =>
    maps.reduce((sum, lake, index) => sum + walkOver(lake, String(index), habit).score, 0) / maps.length;

  it("arrives if it looks, and seldom else", () => {
    expect(rate("looks")).toBe(1);
    expect(rate("hurries")).toBeLessThan(0.3);
    expect(rate("strolls")).toBeLessThan(0.05);
  });
});

it("leaves the closing of connections to its clients, so that no step is lost on the way", async () => {
  const lake = await FrozenLakeServer.start(0);
  const { headers } = await fetch(`${lake.url}/healthz`);
  expect(headers.get("connection")).toBe("keep-alive");
  expect(headers.get("keep-alive")).toBeNull(); // else it names its time-out
  await lake.stop();
});

describe("ajet-lake", () => {
  const folder = temporaryFolder();
  let lake: FrozenLakeServer;
  beforeAll(async () => {
    lake = await FrozenLakeServer.start(0);
  });
  afterAll(() => lake.stop());

  it("has the tokenizer that its recipe writes", () => {
    const prepare = join(ROOT, "tutorial/example_frozenlake/recipe/prepare.ts");
    const made = spawnSync(process.execPath, ["--import", "tsx", prepare, folder], { cwd: ROOT, encoding: "utf8" });
    expect(made.stderr).toBe("");
    for (const file of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
      expect(readFileSync(join(folder, file), "utf8"), file).toBe(readFileSync(join(MODEL, file), "utf8"));
    }
  });

  // With temperature 0 it would be the commonest habit alone.
  it("crosses at most three of ten lakes that it never saw, and more than none", async () => {
    const set = { "task_reader.env_service.env_url": lake.url, experiment_dir: folder, experiment_name: "start" };
    const overrides = Object.entries(set).flatMap(([key, value]) => ["--set", `${key}=${JSON.stringify(value)}`]);
    const finished = await ajet(["eval", YAML, "--limit", "50", ...overrides]);
    expect(finished.stderr).not.toContain("error");
    const summary = readJson(folder, "start", "summary.json");
    expect(summary).toMatchObject({ validation_tasks: 50, episodes_dropped: 0 });
    expect(summary.success_rate).toBeGreaterThan(0.04);
    expect(summary.success_rate).toBeLessThanOrEqual(0.3);
    expect(lake.instances).toBe(0);
  });
});
