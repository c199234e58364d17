import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { EpisodeJob, EpisodeOutcome } from "../../src/rollout/episode.js";
import { findUserClass } from "../../src/rollout/user-code.js";
import { WorkerPool, type WorkerPoolOptions } from "../../src/rollout/worker-pool.js";
import { temporaryFolder } from "../temporary-folder.js";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 }); // threads that load TypeScript start slowly on a busy machine

const output: string[] = [];
const strays: string[] = [];

function poolOptions(): WorkerPoolOptions {
  return {
    threads: 2,
    workflow: findUserClass("w", "test/rollout/user-code/behaving.ts->Behaving"),
    judge: findUserClass("j", "test/rollout/user-code/judging.ts->Judging"),
    config: { experiment_name: "tested" },
    runPython: async (code) => ({ exitCode: 0, stdout: `ran ${code}`, stderr: "" }),
    stallMs: 1500,
    heapMb: 128,
    onOutput: (text) => output.push(text),
    onStray: (message) => strays.push(message),
  };
}

function job(mainQuery: string, metadata: Record<string, unknown> = {}, alone = false): EpisodeJob {
  const task = { taskId: mainQuery, mainQuery, initMessages: [], envType: "no_env", metadata };
  const workflowTask = { task, episodeUuid: "0".repeat(32), sample: 0, step: 1, mode: "train" as const };
  return { workflowTask, baseUrl: "http://127.0.0.1:9/v1", apiKey: "none", alone };
}

const never = new AbortController().signal;

describe("WorkerPool", () => {
  let pool: WorkerPool;
  const run = (query: string, metadata?: Record<string, unknown>, signal = never) =>
    pool.execute(job(query, metadata), signal);

  beforeAll(async () => {
    pool = new WorkerPool(poolOptions());
    await pool.start();
  });
  afterAll(() => pool.dispose());

  const good = { kind: "scored", score: { reward: 0.5, isSuccess: false, logMetrics: { turns: 2 } } };

  it("runs workflow and judge", async () => {
    expect(await run("good")).toMatchObject(good);
    expect(await run("judged", { final: "right" })).toEqual({
      kind: "scored",
      unrepeatable: [],
      score: { reward: 1, isSuccess: true, reason: "because", metadata: { final_answer: "right" }, logMetrics: {} },
    });
    expect(await run("runs python")).toMatchObject({ score: { metadata: { python: { stdout: "ran print(6 * 7)" } } } });
    expect(await run("reads its config")).toMatchObject({ score: { metadata: { name: "tested" } } });
  });

  it("passes on what user code prints", async () => {
    await run("prints");
    await expect.poll(() => output.join("")).toContain("from user code");
  });

  it.each([
    ["throws at once", "workflow", /^The workflow threw TypeError: at once$/],
    ["rejects later", "workflow", /^The workflow threw RangeError: later$/],
    ["throws no error", "workflow", /threw {"odd":true}/],
    ["nobody awaits", "workflow", /nobody caught it: Error: floating/],
    ["throws in a timer", "workflow", /nobody caught it: Error: in a timer/],
    ["calls process.exit", "exited", /called process\.exit\(3\)/],
    ["swallows process.exit", "exited", /called process\.exit\(3\)/],
    ["returns nothing", "workflow", /^Expected { reward, metadata } from the workflow but received undefined$/],
    ["returns text", "workflow", /^Expected { reward, metadata } from the workflow but received "1"$/],
    ["returns NaN", "workflow", /Expected a finite number or null for `reward`.*NaN/],
    ["returns a list", "workflow", /Expected a finite number or null for `reward`.*\[1\]/],
    ["returns a function", "workflow", /Expected plain data for `metadata\.final_answer`/],
    ["returns odd metrics", "workflow", /Expected a finite number for `logMetrics\.turns`.*"two"/],
    ["runs no python", "workflow", /Expected a string for `code` but received number/],
    ["breaks the judge", "judge", /^The judge threw Error: no answer to judge$/],
    ["judged NaN", "judge", /Expected .* finite number.* from the judge but received NaN/],
    ["judged nothing", "judge", /from the judge but received undefined/],
    ["unknown", "workflow", /No behaviour unknown/],
  ])("charges %s to its episode alone", async (query, kind, message) => {
    const other = run("good");
    const [name = "", final] = query.startsWith("judged ") ? ["judged", query.slice(7)] : [query];
    const outcome = (await run(name, { final })) as EpisodeOutcome & { kind: "failed" };
    expect(outcome).toMatchObject({ kind: "failed", failure: { kind } });
    expect(outcome.failure.message).toMatch(message);
    expect(await other).toMatchObject(good);
  });

  it("shows where user code threw", async () => {
    const outcome = await run("throws at once");
    expect(outcome).toMatchObject({ failure: { stack: expect.stringMatching(/behaving\.ts:\d+/) } });
  });

  it.each(["loops at once", "loops later", "loops in a timer", "sleeps in a system call", "really exits"])(
    "finds out who %s; the others may run again",
    async (query) => {
      const kind = query === "really exits" ? "exited" : "stalled";
      // Both threads are in use, so that a good episode shares the bad one's thread.
      const end = new AbortController();
      const hanging = [run("hangs", {}, end.signal), run("hangs", {}, end.signal)];
      const others = [run("good"), run("good")];
      expect(await run(query)).toMatchObject({ kind: "failed", failure: { kind } });
      for (const outcome of await Promise.all(others)) {
        if (outcome.kind === "interrupted") expect(outcome.alone).toBe(false);
        else expect(outcome).toMatchObject(good);
      }
      end.abort(new Error("enough"));
      const ends = (await Promise.all(hanging)).map((outcome) => outcome.kind).sort();
      expect(ends).toEqual(["failed", "interrupted"]);
      expect(await run("good")).toMatchObject(good);
    },
  );

  it("blames nobody in particular for memory, unless alone", async () => {
    const together = await Promise.all([run("eats memory"), run("eats memory"), run("eats memory"), run("good")]);
    const interrupted = together.filter((outcome) => outcome.kind === "interrupted");
    expect(interrupted.length).toBeGreaterThanOrEqual(2);
    for (const outcome of interrupted) expect(outcome).toEqual({ kind: "interrupted", alone: true });
    expect(await pool.execute(job("eats memory", {}, true), never)).toMatchObject({
      kind: "failed",
      failure: { kind: "exited", message: expect.stringMatching(/heap of 128 MB/) },
    });
    expect(await pool.execute(job("good", {}, true), never)).toMatchObject(good);
    expect(await run("good")).toMatchObject(good);
  });

  it("ends what its signal aborts, listening or not", async () => {
    const limit = () => AbortSignal.timeout(300);
    const outcomes = await Promise.all([run("hangs", {}, limit()), run("hangs but listens", {}, limit()), run("good")]);
    expect(outcomes[0]).toMatchObject({ kind: "failed", failure: { kind: "timeout" } });
    expect(outcomes[1]).toMatchObject({ kind: "failed", failure: { kind: "timeout" } });
    expect(outcomes[2]).toMatchObject(good);
  });

  it("starts an episode's time when a thread is free for it", async () => {
    const started: string[] = [];
    const alone = (query: string, signal: AbortSignal) =>
      pool.execute({ ...job(query, {}, true), onStart: () => started.push(query) }, signal);
    const end = new AbortController();
    const hanging = [alone("hangs", end.signal), alone("hangs", end.signal)];
    await expect.poll(() => started).toEqual(["hangs", "hangs"]);
    const waiting = alone("good", never);
    await run("good");
    expect(started).toHaveLength(2);
    end.abort(new Error("enough"));
    expect(await waiting).toMatchObject(good);
    expect(started).toEqual(["hangs", "hangs", "good"]);
    await Promise.all(hanging);
  });

  it("reports what goes wrong after an episode's end, and goes on", async () => {
    expect(await run("rejects after the end")).toMatchObject({ kind: "scored" });
    await expect.poll(() => strays.join("\n")).toMatch(/too late/);
    expect(await run("good")).toMatchObject(good);
  });

  it("survives user code that breaks what it can reach", async () => {
    await run("closes its port");
    await run("breaks globals");
    expect((await run("good")).kind).toBe("scored");
    expect((await run("good")).kind).toBe("scored");
  });
});

describe("user code", () => {
  it("is found by path and by dots, from the YAML's folder too", () => {
    for (const spec of [
      "test.rollout.user-code.dotted_name->Behaving",
      "test/rollout/user-code/dotted_name->Behaving",
    ]) {
      expect(findUserClass("k", spec).file).toMatch(/test\/rollout\/user-code\/dotted_name\.ts$/);
    }
    expect(findUserClass("k", "user-code/behaving.ts->Behaving", "test/rollout").file).toMatch(/behaving\.ts$/);
  });

  it.each([
    ["nowhere.to.be->Found", /`k` names nowhere\.to\.be, which was not found\. Tried:\n.*nowhere\/to\/be\.ts\n/],
    ["a.ts", /Expected `path\/to\/file\.ts->ExportedClass` in `k`/],
    ["a.py->B", /TypeScript or JavaScript/],
  ])("%s: says what was tried", (spec, problem) => {
    expect(() => findUserClass("k", spec)).toThrow(problem);
  });

  it.each([
    ["no package.json", undefined],
    ["a CommonJS package", { name: "user" }],
    ["an ES module package", { type: "module" }],
  ])("loads from a folder with %s", async (_, manifest) => {
    const folder = temporaryFolder();
    if (manifest) writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    writeFileSync(join(folder, "value.ts"), "export enum Value { Won = 1 }");
    writeFileSync(
      join(folder, "agent.ts"),
      `import { MathAnswerAsJudge, Workflow, type WorkflowOutput } from "ajet";
      import { Value } from "./value";
      export class Agent extends Workflow {
        async execute(): Promise<WorkflowOutput> {
          return { reward: Value.Won, metadata: { judge: MathAnswerAsJudge.name } };
        }
      }`,
    );
    const workflow = findUserClass("k", "agent.ts->Agent", folder);
    const pool = new WorkerPool({ ...poolOptions(), workflow, threads: 1 });
    await pool.start();
    expect(await pool.execute(job("any"), never)).toMatchObject({
      score: { reward: 1, isSuccess: true, metadata: { judge: "MathAnswerAsJudge" } },
    });
    await pool.dispose();
  });

  it("says where TypeScript does not parse, without the loader's own stack", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "agent.ts"), "export class Agent {\n  execute( { }\n");
    const pool = new WorkerPool({
      ...poolOptions(),
      workflow: findUserClass("k", "agent.ts->Agent", folder),
      threads: 1,
    });
    const error = await pool.start().catch((reason: Error) => reason);
    expect(error).toMatchObject({ message: expect.stringMatching(/agent\.ts:3:0: ERROR: Expected "\)"/) });
    expect(error).toMatchObject({ message: expect.not.stringContaining("    at ") });
    await pool.dispose();
  });

  it("names the judge whose settings are refused", async () => {
    const folder = temporaryFolder();
    writeFileSync(
      join(folder, "judge.ts"),
      `import { Judge } from "ajet";
      export class Strict extends Judge {
        override prepare() { throw new Error("no such rubric"); }
        computeReward() { return { reward: 1, isSuccess: true }; }
      }`,
    );
    const pool = new WorkerPool({
      ...poolOptions(),
      judge: findUserClass("k", "judge.ts->Strict", folder),
      threads: 1,
    });
    await expect(pool.start()).rejects.toThrow(
      /^The judge judge\.ts->Strict cannot be prepared: Error: no such rubric$/,
    );
    await pool.dispose();
  });

  it.each([
    ["behaving.ts->Missing", /behaving\.ts has no export `Missing`; its exports are: .*Behaving/],
    ["behaving.ts->NoWorkflow", /`NoWorkflow` of .*behaving\.ts is no class with a method `execute`/],
    ["behaving.ts->notAClass", /no class/],
    ["broken.ts->Broken", /broken\.ts does not load: Error: broken on import/],
  ])("%s does not start", async (spec, problem) => {
    const workflow = findUserClass("k", `test/rollout/user-code/${spec}`);
    const pool = new WorkerPool({ ...poolOptions(), workflow, threads: 1 });
    await expect(pool.start()).rejects.toThrow(problem);
    await pool.dispose();
  });
});
