import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Task } from "../../src/agent/task.js";
import type { Engine } from "../../src/native/engine.js";
import { loadModel, type Model } from "../../src/native/model.js";
import type { EpisodeResult } from "../../src/rollout/episode.js";
import { EpisodeRunner, type EpisodeRunnerOptions, type RolloutPhase } from "../../src/rollout/episode-runner.js";
import { findUserClass } from "../../src/rollout/user-code.js";
import { WorkerPool } from "../../src/rollout/worker-pool.js";
import type { RunningServer, ServerOptions } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { loadTextModel, type TextModel } from "../../src/serve/text-model.js";
import { createPythonSandbox, type PythonSandbox } from "../../src/tools/python-sandbox.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MODEL = `${ROOT}models/ajet-tiny`;

/** What an episode is run with. */
export interface Staging {
  workflow: string;
  judge?: string | null;
  args?: Record<string, unknown>;
  config?: Record<string, unknown>;
  runner?: Partial<EpisodeRunnerOptions>;
}

/** The bundled model behind a real server, with the real sandbox: everything of a run but the trainer. */
export class TinyStage implements AsyncDisposable {
  private readonly pools = new Map<string, WorkerPool>();

  private constructor(
    readonly model: Model,
    readonly engine: Engine,
    readonly text: TextModel,
    readonly server: RunningServer,
    readonly sandbox: PythonSandbox,
  ) {}

  static async open(options: Partial<ServerOptions> = {}): Promise<TinyStage> {
    const model = await loadModel(MODEL, { device: "cpu", threads: 2 });
    const engine = await model.createEngine({ maxSequences: 32, kvBytes: 128 << 20 });
    const text = await loadTextModel(MODEL, model, engine);
    const server = await startServer({ ...text, ...options });
    return new TinyStage(model, engine, text, server, await createPythonSandbox());
  }

  /** Runs episodes of a workflow that is named as in a YAML. */
  async play(staging: Staging, tasks: readonly Task[], phase: Partial<RolloutPhase> = {}): Promise<EpisodeResult[]> {
    const { workflow, judge = null, args, config = {} } = staging;
    const { server } = this;
    const pool = await this.pool(workflow, judge, args, config);
    const common = { runSeed: 7, maxParallel: 16, timeoutMs: 60_000, maxAttempts: 1 };
    const runner = new EpisodeRunner({ server, executor: pool, ...common, ...staging.runner });
    const requests = tasks.map((task) => ({ task, sample: 0 }));
    return await runner.run(requests, { mode: "eval", step: 0, temperature: 0, maxTokens: 160, ...phase });
  }

  /** Threads take seconds to start: episodes of the same code share theirs. */
  private async pool(
    workflow: string,
    judge: string | null,
    args: Record<string, unknown> | undefined,
    config: Record<string, unknown>,
  ): Promise<WorkerPool> {
    const key = JSON.stringify([workflow, judge, args, config]);
    const started = this.pools.get(key);
    if (started !== undefined) return started;
    const { sandbox } = this;
    const pool = new WorkerPool({
      workflow: { ...findUserClass("rollout.user_workflow", workflow), ...(args ? { args } : {}) },
      judge: judge === null ? null : findUserClass("task_judge.judge_protocol", judge),
      config,
      runPython: (code) => sandbox.run(code),
      llm: { ask: async () => "" },
      threads: 1,
      stallMs: 20_000,
      heapMb: 512,
      onOutput: (output) => process.stderr.write(output),
      onStray: (message) => process.stderr.write(`${message}\n`),
    });
    this.pools.set(key, pool);
    await pool.start();
    return pool;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pool of this.pools.values()) await pool.dispose();
    await this.server.stop();
    await this.model.dispose();
    await this.sandbox.dispose();
  }
}

/** The first held-out problems of the tutorial. */
export function heldOut(count: number): Task[] {
  const text = readFileSync(`${ROOT}tutorial/example_math_agent/data/heldout.jsonl`, "utf8");
  return text
    .split("\n")
    .slice(0, count)
    .map((line, index) => {
      const metadata = JSON.parse(line) as Record<string, unknown>;
      const mainQuery = String(metadata["question"] ?? metadata["main_query"]);
      return { taskId: String(index), mainQuery, initMessages: [], envType: "", metadata };
    });
}
