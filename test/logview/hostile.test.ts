import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { SECRET, sendRandomRequests } from "../../bench/campaigns/logview-requests.mjs";
import type { EpisodesReply, MetricsReply, RunsReply, SettingsReply } from "../../src/logview/api-types.js";
import { temporaryFolder } from "../cli/ajet.js";
import { Viewer } from "./client.js";
import { makeRun } from "./run-fixture.js";

const folder = temporaryFolder();
const experiments = join(folder, "experiments");
/** Beside the folder that is shown. */
const outside = join(folder, "outside");

beforeAll(async () => {
  await makeRun(experiments, "plain");
  const secret = await makeRun(outside, "secret", { settings: { key: SECRET } });
  writeFileSync(join(outside, "secret.txt"), SECRET);
  appendFileSync(secret.metricsFile, `{"step":4,"${SECRET}":1}\n`);
});

/** Every file with its size and time. */
function listing(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => `${name} ${statSync(join(path, name)).size} ${statSync(join(path, name)).mtimeMs}`);
}

describe("what lies outside the folder", () => {
  const names = [
    "../outside/secret",
    "..%2Foutside%2Fsecret",
    "plain/../../outside/secret",
    "/etc",
    "..",
    "./plain",
    "plain/",
    "plain\0",
    "outside/secret",
  ];

  it.each(names)("is not reached by the run id %j", async (name) => {
    const viewer = await Viewer.open(experiments);
    for (const route of ["metrics", "settings", "steps", "episodes", "episode", "tree"]) {
      const { status, body } = await viewer.raw(`/api/${route}?run=${encodeURIComponent(name)}&key=1.0&step=1&group=0`);
      expect(status).toBe(404);
      expect(body).not.toContain(SECRET);
    }
  });

  it("is not reached by a path", async () => {
    const viewer = await Viewer.open(experiments);
    for (const path of [
      "/../outside/secret.txt",
      "/..%2foutside%2fsecret.txt",
      "/plain/config.yaml",
      "//etc/passwd",
      "/%2e%2e/x",
      "/app.js/../../package.json",
    ]) {
      const { status, body } = await viewer.raw(path);
      expect([path, status >= 400]).toEqual([path, true]);
      expect(body).not.toContain(SECRET);
    }
  });

  it("is not reached by symbolic links, wherever they stand", async () => {
    const linked = join(folder, "linked");
    await makeRun(linked, "file");
    await makeRun(linked, "segment");
    await makeRun(linked, "tokens");
    symlinkSync(join(outside, "secret"), join(linked, "run"));
    for (const name of ["metrics.jsonl", "config.yaml"]) {
      renameSync(join(linked, "file", name), join(folder, `old-${name}`));
      symlinkSync(join(outside, "secret", name), join(linked, "file", name));
    }
    const segment = readdirSync(join(linked, "segment/tokens"))[0] as string;
    renameSync(join(linked, "segment/tokens", segment), join(folder, "old-segment"));
    symlinkSync(join(outside, "secret/tokens", segment), join(linked, "segment/tokens", segment));
    renameSync(join(linked, "tokens/tokens"), join(folder, "old-tokens"));
    symlinkSync(join(outside, "secret/tokens"), join(linked, "tokens/tokens"));

    const viewer = await Viewer.open(linked);
    expect((await viewer.get<RunsReply>("runs")).runs.map(({ id }) => id).sort()).toEqual([
      "file",
      "segment",
      "tokens",
    ]);
    expect((await viewer.get<MetricsReply>("metrics", { run: "file" })).rows).toEqual([]);
    expect((await viewer.get<SettingsReply>("settings", { run: "file" })).settings).toEqual({});
    expect((await viewer.get<EpisodesReply>("episodes", { run: "segment" })).total).toBe(0);
    expect(await viewer.status("/api/episodes?run=tokens")).toBe(404);
    expect(await viewer.status("/api/metrics?run=run")).toBe(404);
  });
});

describe("what is broken", () => {
  it("a pipe in place of a file holds nobody up", async () => {
    const piped = join(folder, "piped");
    mkdirSync(join(piped, "run"), { recursive: true });
    writeFileSync(join(piped, "run/run.json"), "{}");
    execFileSync("mkfifo", [join(piped, "run/metrics.jsonl"), join(piped, "run/config.yaml")]);
    const viewer = await Viewer.open(piped);
    expect((await viewer.get<RunsReply>("runs")).runs[0]).toMatchObject({ id: "run", step: 0 });
    expect((await viewer.get<MetricsReply>("metrics", { run: "run" })).rows).toEqual([]);
  });

  it("a truncated token log gives the steps before, and says so", async () => {
    const cut = join(folder, "torn");
    const run = await makeRun(cut, "run");
    const file = join(run.tokensFolder, readdirSync(run.tokensFolder)[0] as string);
    truncateSync(file, statSync(file).size - 20);
    const viewer = await Viewer.open(cut);
    const torn = await viewer.get<EpisodesReply>("episodes", { run: "run" });
    expect(torn.total).toBe(16);
    expect(torn.notes.join()).toMatch(/\w/);
    truncateSync(file, 7);
    expect([200, 404]).toContain(await viewer.status("/api/episodes?run=run"));
  });

  it("a token log of another version is refused in words", async () => {
    const other = join(folder, "version");
    const run = await makeRun(other, "run");
    const file = join(run.tokensFolder, readdirSync(run.tokensFolder)[0] as string);
    const bytes = readFileSync(file);
    bytes.writeUInt32LE(99, 8);
    writeFileSync(file, bytes);
    const viewer = await Viewer.open(other);
    const { status, body } = await viewer.raw("/api/episodes?run=run");
    expect(status).toBeLessThan(500);
    expect(body).toMatch(/error|"total":0/);
    expect((await viewer.get<RunsReply>("runs")).runs).toHaveLength(1);
  });

  it("a configuration that refers to itself, or grows without end, is shown as far as it goes", async () => {
    const odd = join(folder, "yaml");
    const run = await makeRun(odd, "run");
    const laughs = Array.from(
      { length: 12 },
      (_, i) => `x${i}: &x${i} [${Array(9).fill(i === 0 ? "lol" : `*x${i - 1}`)}]`,
    );
    for (const yaml of [`ajet: &a {b: *a, c: 1}\n`, laughs.join("\n"), "ajet: [", "", "- 1", "ajet: 3"]) {
      writeFileSync(run.configFile, yaml);
      const viewer = await Viewer.open(odd);
      const { status, body } = await viewer.raw("/api/settings?run=run");
      expect(status).toBe(200);
      expect(body.length).toBeLessThan(4e6);
    }
  });
});

it("random requests read nothing outside, crash nothing and write nothing", async () => {
  const viewer = await Viewer.open(experiments);
  const before = listing(folder);
  const { sent, leaks, statuses } = await sendRandomRequests(viewer.logview.port, viewer.token, 400, 7);
  expect(leaks).toEqual([]);
  expect(sent).toBe(400);
  expect(Object.keys(statuses).filter((status) => Number(status) >= 500)).toEqual([]);
  expect(Object.keys(statuses).length).toBeGreaterThan(2);
  expect((await viewer.get<RunsReply>("runs")).runs).toHaveLength(1);
  expect(listing(folder)).toEqual(before);
});
