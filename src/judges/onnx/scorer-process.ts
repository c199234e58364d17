import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError } from "../../native/errors.js";
import type { ScoreAnswer, ScoreRequest } from "./scorer-entry.js";
import type { ScorerOptions } from "./text-scorer.js";

interface Waiting {
  resolve(score: number): void;
  reject(error: Error): void;
}

/**
 * Runs ONNX models in a process of their own, one per thread that judges. onnxruntime-node takes the whole process down when
 * a worker thread that runs a model is ended, and ending threads is how runaway user code is stopped.
 */
class ScorerProcess {
  private child: ChildProcess | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;

  /** @throws ConfigError where the model cannot be loaded. */
  async load(options: ScorerOptions): Promise<void> {
    await this.send({ options });
  }

  score(options: ScorerOptions, text: string, pair: string | undefined): Promise<number> {
    return this.send({ options, texts: { text, pair } });
  }

  private send(request: Omit<ScoreRequest, "id">): Promise<number> {
    this.child ??= this.start();
    const { child } = this;
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.hold(child);
      child.send({ id, ...request } satisfies ScoreRequest, (error) => {
        if (error) this.settle(id, (waiting) => waiting.reject(error));
      });
    });
  }

  private start(): ChildProcess {
    const child = fork(ENTRY, {
      execArgv: LOADER,
      serialization: "advanced", // JSON has no NaN
      stdio: ["ignore", "ignore", "ignore", "ipc"],
    });
    child.on("message", (answer: ScoreAnswer) => {
      this.settle(answer.id, ({ resolve, reject }) => {
        if ("score" in answer) resolve(answer.score);
        else reject(answer.isConfig ? new ConfigError(answer.error) : new Error(answer.error));
      });
    });
    const onEnd = (how: string) => {
      if (this.child !== child) return;
      this.child = undefined;
      const error = new Error(`The process that runs the ONNX model ended: ${how}`);
      for (const id of [...this.waiting.keys()]) this.settle(id, ({ reject }) => reject(error));
    };
    child.on("error", (error) => onEnd(error.message));
    child.on("exit", (code, signal) => onEnd(signal ?? `code ${code}`));
    return child;
  }

  private settle(id: number, end: (waiting: Waiting) => void): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (this.child) this.hold(this.child);
    if (waiting) end(waiting);
  }

  /** A process that nobody waits for must not keep this one. */
  private hold(child: ChildProcess): void {
    const how = this.waiting.size > 0 ? "ref" : "unref";
    child[how]();
    child.channel?.[how]();
  }
}

const EXTENSION = extname(import.meta.url);
const ENTRY = fileURLToPath(new URL(`./scorer-entry${EXTENSION}`, import.meta.url));
/** Where this runs from its sources (in tests), so does the process. */
const LOADER =
  EXTENSION === ".ts" ? ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] : [];

/** This thread's. */
export const scorerProcess = new ScorerProcess();
