import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import type { JudgeLlm } from "../agent/judge.js";
import type { AjetConfig } from "../config/schema.js";
import type { EpisodeExecutor } from "../rollout/episode.js";
import { InProcessExecutor } from "../rollout/in-process-executor.js";
import { findUserClass } from "../rollout/user-code.js";
import { WorkerPool } from "../rollout/worker-pool.js";
import type { PythonSandbox } from "../tools/python-sandbox.js";
import type { SessionOptions } from "./session.js";

function findUserClasses({ rollout, task_judge }: AjetConfig, folder: string) {
  const { user_workflow, workflow_args } = rollout;
  const { judge_protocol, judge_args } = task_judge;
  const workflow = findUserClass("rollout.user_workflow", user_workflow, folder);
  const judge = judge_protocol === null ? null : findUserClass("task_judge.judge_protocol", judge_protocol, folder);
  return { workflow: { ...workflow, args: workflow_args }, judge: judge && { ...judge, args: judge_args } };
}

/** Threads for workflows and judges where the configuration leaves it open. */
const MOST_WORKER_THREADS = 4;

/** A thread that holds its event loop for so long is taken to hang. */
const STALL_MS = 10_000;
const WORKER_HEAP_MB = 512;

/** What runs workflows and judges: worker threads, or this one where they are debugged. */
export function createExecutor(options: SessionOptions, sandbox: PythonSandbox, llm: JudgeLlm): EpisodeExecutor {
  const { config, yamlFile, debug } = options;
  const { worker_threads, episode_timeout_s } = config.rollout;
  const common = {
    ...findUserClasses(config, dirname(yamlFile)),
    config: config as unknown as Record<string, unknown>,
    runPython: (code: string, timeoutMs?: number) => sandbox.run(code, timeoutMs === undefined ? {} : { timeoutMs }),
    llm,
  };
  if (debug) return new InProcessExecutor(common);
  return new WorkerPool({
    ...common,
    threads: worker_threads || Math.min(availableParallelism(), MOST_WORKER_THREADS),
    stallMs: Math.min(STALL_MS, episode_timeout_s * 1000),
    heapMb: WORKER_HEAP_MB,
    onOutput: (text) => options.onUserOutput?.(text),
    onStray: (message) => options.onUserOutput?.(`${message}\n`),
  });
}
