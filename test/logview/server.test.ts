import { appendFileSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { generatedStep } from "../../bench/campaigns/generated-steps.mjs";
import type {
  EpisodeReply,
  EpisodesReply,
  MetricsReply,
  RunsReply,
  SettingsReply,
  StepsReply,
  TreeReply,
} from "../../src/logview/api-types.js";
import { startLogview } from "../../src/logview/server.js";
import { TokenLogReader } from "../../src/report/token-log/reader.js";
import type { RunFolder } from "../../src/train/run-folder.js";
import { temporaryFolder } from "../cli/ajet.js";
import { Viewer } from "./client.js";
import { appendMetrics, makeRun, rewardOf, tear } from "./run-fixture.js";

const folder = temporaryFolder();
const experiments = join(folder, "experiments");
const SHAPE = { groups: 2, episodes: 4, turns: 2, prompt: 30, sampled: 12, observed: 5 };
let live: RunFolder;

beforeAll(async () => {
  live = await makeRun(experiments, "live", { settings: { data: { train_batch_size: 4 } }, shape: SHAPE });
  await makeRun(experiments, "done", { summary: { steps: 3, success_rate_before: 0.2, success_rate_after: 0.9 } });
  const stopped = await makeRun(experiments, "stopped");
  const origin = JSON.parse(readFileSync(join(stopped.path, "run.json"), "utf8"));
  writeFileSync(
    join(stopped.path, "run.json"),
    JSON.stringify({ ...origin, process: { pid: 2 ** 30, startTicks: 1 } }),
  );
});

describe("who may ask", () => {
  it("answers 401 without the token, or with another one, for pages and data alike", async () => {
    const viewer = await Viewer.open(experiments);
    for (const path of ["/", "/app.js", "/app.css", "/api/runs", "/api/none", "/none"]) {
      expect(await viewer.status(path, { authorization: "" })).toBe(401);
      expect(await viewer.status(path, { authorization: "Bearer " })).toBe(401);
      expect(await viewer.status(path, { authorization: `Bearer ${viewer.token}x` })).toBe(401);
      expect(await viewer.status(`${path}?token=wrong`, { authorization: "" })).toBe(401);
    }
    expect(await viewer.status(`/?token=${viewer.token}`, { authorization: "" })).toBe(200);
    expect(await viewer.status(`/api/runs?token=${viewer.token}&token=x`, { authorization: "" })).toBe(401);
  });

  it("answers no other host's name, and no other method than GET and HEAD", async () => {
    const viewer = await Viewer.open(experiments);
    expect(await viewer.status("/api/runs", { host: "evil.example" })).toBe(403);
    expect(await viewer.status("/api/runs", { host: `localhost:${viewer.logview.port}` })).toBe(200);
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
      expect(await viewer.status("/api/runs", {}, method)).toBe(404);
    }
  });

  it("gives every answer headers that keep it on this machine", async () => {
    const viewer = await Viewer.open(experiments);
    for (const path of ["/", "/app.js", "/api/runs", "/none"]) {
      const { headers } = await viewer.raw(path);
      expect(headers["content-security-policy"]).toMatch(/^default-src 'self';/);
      expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
    }
    expect(viewer.logview.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{24}$/);
  });

  it("says which folder it cannot read", async () => {
    await expect(startLogview({ folder: join(folder, "none") })).rejects.toThrow(/cannot read .*none: ENOENT/);
  });
});

describe("runs", () => {
  it("lists those of a folder with their state, what goes on and what has ended", async () => {
    const viewer = await Viewer.open(experiments);
    const { runs, folder: name } = await viewer.get<RunsReply>("runs");
    expect(name).toBe("experiments");
    expect(Object.fromEntries(runs.map(({ id, status }) => [id, status]))).toEqual({
      live: "running",
      done: "finished",
      stopped: "stopped",
    });
    expect(runs.find(({ id }) => id === "live")).toMatchObject({
      kind: "train",
      yaml: "agent.yaml",
      step: 3,
      totalSteps: 10,
      lastReward: rewardOf(3),
      spark: { steps: [1, 2, 3], rewards: [1, 2, 3].map(rewardOf) },
      hasTokens: true,
      summary: null,
    });
    expect(runs.find(({ id }) => id === "done")?.summary).toMatchObject({ success_rate_before: 0.2 });
  });

  it("takes the folder of one run, too", async () => {
    const viewer = await Viewer.open(live.path);
    const { runs } = await viewer.get<RunsReply>("runs");
    expect(runs.map(({ id, name }) => [id, name])).toEqual([[".", "live"]]);
    expect((await viewer.get<EpisodesReply>("episodes", { run: "." })).total).toBe(24);
  });

  it("gives the configuration as one dotted key a setting", async () => {
    const viewer = await Viewer.open(experiments);
    expect((await viewer.get<SettingsReply>("settings", { run: "live" })).settings).toEqual({
      "trainer_common.total_training_steps": "10",
      "trainer_common.seed": "1",
      "data.train_batch_size": "4",
    });
  });
});

describe("metrics", () => {
  it("are read on from where the last answer ended; a torn line waits for its end", async () => {
    const run = await makeRun(join(folder, "growing"), "run", { steps: 2 });
    const viewer = await Viewer.open(join(folder, "growing"));
    const first = await viewer.get<MetricsReply>("metrics", { run: "run" });
    expect(first.rows.map(({ step }) => step)).toEqual([1, 2]);
    const again = { run: "run", from: first.next, generation: first.generation };
    expect(await viewer.get<MetricsReply>("metrics", again)).toMatchObject({
      rows: [],
      reset: false,
      next: first.next,
    });
    appendFileSync(run.metricsFile, '{"step":3,"critic/rew');
    expect((await viewer.get<MetricsReply>("metrics", again)).rows).toEqual([]);
    appendFileSync(run.metricsFile, 'ards/mean":0.5}\n');
    const grown = await viewer.get<MetricsReply>("metrics", again);
    expect(grown.rows).toEqual([{ step: 3, "critic/rewards/mean": 0.5 }]);
  });

  it("begin anew after a resume, which cuts the log back", async () => {
    const run = await makeRun(join(folder, "resumed"), "run", { steps: 3 });
    const viewer = await Viewer.open(join(folder, "resumed"));
    const { next, generation } = await viewer.get<MetricsReply>("metrics", { run: "run" });
    appendMetrics(run, 2);
    utimesSync(join(run.path, "run.json"), new Date(), new Date(Date.now() + 5000));
    const reply = await viewer.get<MetricsReply>("metrics", { run: "run", from: next, generation });
    expect(reply).toMatchObject({ reset: true });
    expect(reply.rows.map(({ step }) => step)).toEqual([1, 2]);
    expect((await viewer.get<RunsReply>("runs")).runs[0]).toMatchObject({ step: 2, spark: { steps: [1, 2] } });
  });

  it("leave out what is no line of numbers", async () => {
    const run = await makeRun(join(folder, "odd"), "run", { steps: 1 });
    appendFileSync(run.metricsFile, 'null\n[]\n"x"\n{"step":"2"}\n{broken\n{"step":2,"a":1,"b":"text","c":null}\n');
    tear(run.metricsFile);
    const viewer = await Viewer.open(join(folder, "odd"));
    const { rows } = await viewer.get<MetricsReply>("metrics", { run: "run" });
    expect(rows.map(({ step }) => step)).toEqual([1, 2]);
    expect(rows[1]).toEqual({ step: 2, a: 1 });
  });
});

describe("episodes", () => {
  it("come by page, filtered and sorted as the token log's reader does it", async () => {
    const viewer = await Viewer.open(experiments);
    await using log = await TokenLogReader.open(live.tokensFolder);
    const sorted = await log.list({ success: true, sortBy: "length", descending: true, offset: 2, limit: 3 });
    const query = { run: "live", success: "true", sortBy: "length", descending: "true", offset: 2, limit: 3 };
    const reply = await viewer.get<EpisodesReply>("episodes", query);
    expect(reply).toEqual({ episodes: sorted.headers, total: sorted.total, offset: 2, notes: [] });
    expect(reply.total).toBeGreaterThan(3);
  });

  it("are found by step, reward, task, mark and case", async () => {
    const viewer = await Viewer.open(experiments);
    const all = (await viewer.get<EpisodesReply>("episodes", { run: "live", limit: 500 })).episodes;
    const found = async (query: Record<string, string | number>) =>
      (await viewer.get<EpisodesReply>("episodes", { run: "live", limit: 500, ...query })).episodes.map(
        ({ key }) => key,
      );
    const keys = (holds: (header: (typeof all)[number]) => boolean) => all.filter(holds).map(({ key }) => key);
    expect(await found({ stepFrom: 2, stepTo: 2 })).toEqual(keys(({ step }) => step === 2));
    expect(await found({ minReward: 0.5 })).toEqual(keys(({ reward }) => reward === 1));
    expect(await found({ search: "TASK-3" })).toEqual(keys(({ taskId }) => taskId.includes("task-3")));
    expect(await found({ marks: "no_print" })).toEqual(keys(({ marks }) => marks.includes("no_print")));
    const good = keys(({ success, toolCalls, marks }) => success && toolCalls > 0 && marks.length === 0);
    expect(good.length).toBeGreaterThan(0);
    expect(await found({ good: "true" })).toEqual(good);
  });

  it("ignore parameters that make no sense, and bound the page", async () => {
    const viewer = await Viewer.open(experiments);
    const odd = {
      sortBy: "constructor",
      step: "NaN",
      limit: "1e9",
      offset: -5,
      marks: "x,__proto__",
      success: "maybe",
    };
    const reply = await viewer.get<EpisodesReply>("episodes", { run: "live", ...odd });
    expect(reply.total).toBe(24);
    expect((await viewer.get<EpisodesReply>("episodes", { run: "live", limit: -1 })).episodes).toEqual([]);
  });

  it("have rows whose tokens carry what their own call recorded of them", async () => {
    const viewer = await Viewer.open(experiments);
    const written = generatedStep(2, SHAPE)[0]?.episodes[1];
    const reply = await viewer.get<EpisodeReply>("episode", { run: "live", key: "2.1" });
    expect(reply.header).toMatchObject({ step: 2, index: 1, sample: 1, taskId: "task-4" });
    expect(reply.timelines).toHaveLength(1); // the second turn goes on from the first
    const [row] = reply.timelines;
    const [first, second] = written?.calls ?? [];
    if (!row || !first || !second) throw new Error("Expected two calls");
    expect(row.ids).toEqual([...second.promptIds, ...second.sampledIds]);
    const at = first.promptIds.length;
    for (const [i, id] of first.sampledIds.entries()) {
      expect(row.ids[at + i]).toBe(id);
      expect(row.sampledBy[at + i]).toBe(0);
      expect(row.logprobs[at + i]).toBeCloseTo(first.logprobs[i] as number, 4);
      expect(row.inLoss[at + i]).toBe(1);
      expect(row.advantages[at + i]).toBe(first.advantage);
      expect(row.versions[at + i]).toBe(1);
    }
    expect(row.sampledBy.filter((call) => call < 0)).toHaveLength(30 + 5);
    expect(row.sampledBy[0]).toBe(-1);
    expect(row.logprobs[0]).toBeNull();
    expect(reply.toolCalls[0]).toMatchObject({ call: 0, name: "execute_python_code", isError: false });
  });

  it("have a token tree in which what a group shares stands once", async () => {
    const viewer = await Viewer.open(experiments);
    const { nodes, episodes } = await viewer.get<TreeReply>("tree", { run: "live", step: 1, group: 1 });
    expect(episodes.map(({ sample }) => sample)).toEqual([0, 1, 2, 3]);
    expect(nodes[0]).toMatchObject({ parent: -1, start: 0, samples: [0, 1, 2, 3] });
    const written = generatedStep(1, SHAPE)[1]?.episodes[0]?.calls[0];
    expect(nodes[0]?.ids.slice(0, 30)).toEqual([...(written?.promptIds ?? [])]);
    expect((await viewer.get<StepsReply>("steps", { run: "live" })).steps.map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  it("that are not there are told of in words", async () => {
    const viewer = await Viewer.open(experiments);
    for (const path of [
      "episode?run=live&key=9.9",
      "episode?run=live",
      "episode?run=live&key=../x",
      "tree?run=live&step=9&group=0",
      "tree?run=live",
      "episodes?run=none",
      "metrics",
      "none",
    ]) {
      const { status, body } = await viewer.raw(`/api/${path}`);
      expect([path, status]).toEqual([path, 404]);
      expect(JSON.parse(body).error).toMatch(/\w/);
    }
    const bare = await makeRun(join(folder, "bare"), "run", { steps: 1 });
    rmSync(bare.tokensFolder, { recursive: true });
    const other = await Viewer.open(join(folder, "bare"));
    expect(await other.status("/api/episodes?run=run")).toBe(404);
  });
});
