import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Model } from "../../src/native/model.js";
import { CallAudit, describeFailures, selectCalls, verdictsOf } from "../../src/rollout/audit.js";
import type { EpisodeExecutor, EpisodeRequest, EpisodeResult } from "../../src/rollout/episode.js";
import {
  EpisodeRunner,
  type EpisodeRunnerOptions,
  type RolloutCallbacks,
  type RolloutPhase,
} from "../../src/rollout/episode-runner.js";
import { InProcessExecutor } from "../../src/rollout/in-process-executor.js";
import { findUserClass } from "../../src/rollout/user-code.js";
import { WorkerPool } from "../../src/rollout/worker-pool.js";
import type { RunningServer } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { textEngine } from "../../src/serve/text-engine.js";
import { chatTemplate, tokenizer } from "../serve/harness.js";
import { randomModel } from "../serve/random-model.js";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const PHASE: RolloutPhase = { mode: "train", step: 1, temperature: 1, maxTokens: 16 };
const userCode = {
  workflow: findUserClass("w", "test/rollout/user-code/asking.ts->Asking"),
  judge: null,
  config: {},
  runPython: async () => ({ exitCode: 0, stdout: "", stderr: "" }),
};

let model: Model;
let server: RunningServer;
let shared: WorkerPool;
let recorded = 0;

beforeAll(async () => {
  model = await randomModel(7n);
  const engine = await model.createEngine({ maxSequences: 16, kvBytes: 32 << 20 });
  const real = await startServer({ engine: textEngine(engine), tokenizer, chatTemplate, modelName: "random" });
  server = {
    ...real,
    baseUrl: real.baseUrl,
    open: (session) =>
      real.open({
        ...session,
        record: (call) => {
          recorded++;
          session.record(call);
        },
      }),
    close: (key) => real.close(key),
    stop: () => real.stop(),
  };
  shared = pool(2);
  await shared.start();
});

afterAll(async () => {
  await shared?.dispose();
  await server?.stop();
  await model?.dispose();
});

function pool(threads: number): WorkerPool {
  return new WorkerPool({ ...userCode, threads, stallMs: 1500, heapMb: 256, onOutput: () => {}, onStray: () => {} });
}

function requests(
  behaviours: Record<number, { behaviour: string; samples?: number[] }> = {},
  tasks = 4,
): EpisodeRequest[] {
  return Array.from({ length: tasks }, (_, i) => ({
    taskId: `t${i}`,
    mainQuery: `Question ${i}`,
    initMessages: [],
    envType: "no_env",
    metadata: behaviours[i] ?? {},
  })).flatMap((task) => [0, 1].map((sample) => ({ task, sample })));
}

/** Runs a batch, by the pool that the tests share unless another executor is given. */
function run(
  batch: EpisodeRequest[],
  phase: RolloutPhase,
  options: Partial<EpisodeRunnerOptions> = {},
  callbacks: RolloutCallbacks = {},
): Promise<EpisodeResult[]> {
  const defaults = { server, executor: shared, runSeed: 42, maxParallel: 16, timeoutMs: 120_000, maxAttempts: 2 };
  return new EpisodeRunner({ ...defaults, ...options }).run(batch, phase, callbacks);
}

/** What must not depend on timing. */
function essence(result: EpisodeResult | undefined) {
  const { uuid, reward, isSuccess, metadata, logMetrics, calls, attempts } = result as EpisodeResult;
  const tokens = calls.map((call) => ({
    id: call.callId,
    ordinal: call.ordinal,
    prompt: [...call.promptIds],
    sampled: [...call.sampledIds],
    logprobs: [...call.logprobs],
  }));
  return { uuid, reward, isSuccess, metadata, logMetrics, attempts, tokens };
}

describe("EpisodeRunner", () => {
  it("gives the same episodes whatever runs beside them", async () => {
    const batch = requests({}, 2);
    const single = pool(1);
    const runs = [await run(batch, PHASE), await run(batch, PHASE, { executor: single, maxParallel: 1 })];
    await single.dispose();
    const inProcess = new InProcessExecutor(userCode);
    runs.push(await run(batch, PHASE, { executor: inProcess, maxParallel: 3 }));
    const [first = [], ...others] = runs.map((results) => results.map(essence));
    for (const other of others) expect(other).toEqual(first);
    expect(first.map(({ attempts }) => attempts)).toEqual(batch.map(() => 1));
    for (const { tokens } of first) {
      expect(tokens).toHaveLength(8);
      expect(tokens.every(({ sampled, logprobs }) => sampled.length > 0 && logprobs.length === sampled.length)).toBe(
        true,
      );
    }
    expect(new Set(first.map(({ uuid }) => uuid)).size).toBe(batch.length);
    expect(new Set(first.map(({ tokens }) => JSON.stringify(tokens.map((call) => call.sampled)))).size).toBe(
      batch.length,
    );
    expect(runs[0]?.map(({ task, sample }) => ({ task, sample }))).toEqual(batch);
  });

  it("draws anew for another step, purpose or seed", async () => {
    const batch = requests({}, 1).slice(0, 1);
    const phases = [PHASE, { ...PHASE, step: 2 }, { ...PHASE, purpose: "eval/other" }];
    const essences = await Promise.all(phases.map(async (phase) => essence((await run(batch, phase))[0])));
    essences.push(essence((await run(batch, PHASE, { runSeed: 43 }))[0]));
    expect(new Set(essences.map(({ tokens }) => JSON.stringify(tokens))).size).toBe(4);
  });

  it("charges bad episodes alone; the others' tokens stay the same, and every call is accounted for", async () => {
    const clean = await run(requests(), PHASE);
    recorded = 0;
    const bad = requests({
      0: { behaviour: "throw", samples: [1] },
      1: { behaviour: "loop", samples: [0] },
      2: { behaviour: "exit", samples: [0] },
    });
    const seen: number[] = [];
    const results = await run(bad, PHASE, {}, { onEpisode: (_, done, total) => seen.push(done / total) });
    const failed = results.flatMap((result, index) => (result.error ? [index] : []));
    expect(failed).toEqual([1, 2, 4]);
    for (const [index, result] of results.entries()) {
      if (failed.includes(index)) expect(result).toMatchObject({ attempts: 2, reward: 0, calls: [] });
      else expect(essence(result)).toEqual(essence(clean[index]));
    }
    expect(failed.map((index) => results[index]?.error?.kind)).toEqual(["workflow", "stalled", "exited"]);
    expect(failed.map((index) => results[index]?.retried.length)).toEqual([1, 1, 1]);
    expect(results[2]?.unrepeatable.length).toBeGreaterThan(0);
    expect(results[0]?.unrepeatable).toEqual([]);
    expect(seen.at(-1)).toBe(1);
    expect(seen).toHaveLength(8);

    const report = describeFailures(results);
    expect(report).toHaveLength(3);
    expect(report.join("\n")).toMatch(/threw Error: as asked \(1 dropped, 1 tried again; e\.g\. task t0, sample 1\)/);

    const selection = selectCalls(results, model.version);
    const audit = new CallAudit();
    audit.addStep(selection, verdictsOf(selection.trainable));
    expect(audit.total).toBe(recorded);
    expect(selection.trainable).toHaveLength(5 * 8);
    expect(audit.droppedBy).toMatchObject({
      group_left_out: 40,
      episode_failed: expect.any(Number),
      episode_timeout: 16,
    });
  });

  it("ends episodes at their time limit", async () => {
    const bad = requests({ 0: { behaviour: "hang", samples: [0] } }, 1);
    const [hung, good] = await run(bad, PHASE, { timeoutMs: 5000, maxAttempts: 1 });
    expect(hung).toMatchObject({ error: { kind: "timeout" }, attempts: 1, calls: [] });
    expect(hung?.error?.message).toMatch(/longer than 5 s/);
    expect(hung?.droppedCalls.every(({ reason }) => reason === "episode_timeout")).toBe(true);
    expect(hung?.unrepeatable).toHaveLength(1);
    expect(good?.error).toBeUndefined();
  });

  it("does not count the wait for a thread as an episode's time", async () => {
    const score = { reward: 1, isSuccess: true, metadata: {}, logMetrics: {} };
    const executor: EpisodeExecutor = {
      start: async () => {},
      dispose: async () => {},
      judgeGroup: async () => ({ kind: "interrupted", alone: false }),
      execute: async ({ onStart }, signal) => {
        await sleep(100);
        signal.throwIfAborted();
        onStart?.();
        return { kind: "scored", score, unrepeatable: [] };
      },
    };
    const [waited] = await run(requests({}, 1).slice(0, 1), PHASE, { executor, timeoutMs: 20 });
    expect(waited).toMatchObject({ reward: 1, attempts: 1 });
  });

  it("does not blame the judge for an episode whose time was up as it ended", async () => {
    const executor: EpisodeExecutor = {
      ...shared,
      execute: async ({ onStart, beginJudging }, signal) => {
        onStart?.();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        beginJudging?.();
        const { message } = signal.reason;
        return { kind: "failed", failure: { kind: "timeout", message }, unrepeatable: [] };
      },
    };
    const [late] = await run(requests({}, 1).slice(0, 1), PHASE, { executor, timeoutMs: 20, maxAttempts: 2 });
    expect(late).toMatchObject({
      attempts: 2,
      error: { kind: "timeout", message: expect.stringMatching(/^The episode ran longer/) },
    });
  });

  it("cancels what an episode leaves behind", async () => {
    const results = await run(requests({ 0: { behaviour: "leave" } }, 1), PHASE);
    expect(results.map((result) => result.error)).toEqual([undefined, undefined]);
    const { trainable, dropped } = selectCalls(results, model.version);
    expect(trainable.every(({ call }) => call.finishReason !== "cancelled")).toBe(true);
    const cancelled = dropped.filter(({ reason }) => reason === "cancelled");
    // The first choices may have had all their tokens before the cancel came; those behind them in the queue cannot.
    expect(cancelled.some(({ call }) => call.sampledIds.length < 800)).toBe(true);
    for (const { unrepeatable } of results) expect(unrepeatable).toEqual([expect.stringContaining("cancelled")]);
  });

  it("leaves calls under other weights out", async () => {
    const results = await run(requests({}, 1), PHASE);
    const { trainable, dropped } = selectCalls(results, model.version + 1);
    expect(trainable).toEqual([]);
    expect(new Set(dropped.map(({ reason }) => reason))).toEqual(new Set(["weights_changed"]));
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    const stopped = run(
      requests({ 0: { behaviour: "hang" } }),
      PHASE,
      {},
      {
        signal: stop.signal,
        onEpisode: () => stop.abort(new Error("enough")),
      },
    );
    await expect(stopped).rejects.toMatchObject({ code: "ERR_AJET_ABORTED" });
  });
});

it("counts what the trainer says", () => {
  const call = { call: {} as never, episode: 0 };
  const verdicts = verdictsOf([call, { ...call, episode: 1 }, call], {
    fates: ["trained", "merged", "merged"],
    episodesKept: Uint8Array.of(1, 0),
  });
  const audit = new CallAudit();
  audit.addStep({ trainable: [], dropped: [{ call: {} as never, reason: "no_tokens" }] }, verdicts);
  expect({ ...audit }).toEqual({ trained: 1, merged: 1, droppedBy: { group_left_out: 1, no_tokens: 1 } });
  expect([audit.dropped, audit.total]).toEqual([2, 4]);
});
