/** A process that runs one side of a comparison: JSON lines in and out. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const THREADS = 2;

/**
 * glibc returns large blocks to the system after each free and faults them in again, which costs PyTorch up to a third of
 * a large update: keep them, and on huge pages where the system allows it.
 */
const TUNED_MALLOC = {
  GLIBC_TUNABLES: [
    "glibc.malloc.mmap_max=0",
    "glibc.malloc.trim_threshold=17179869184",
    "glibc.malloc.top_pad=268435456",
    "glibc.malloc.hugetlb=1",
  ].join(":"),
};

const live = new Set();

// Should this process fail, its workers find the end of their stdin, for which they have to run.
process.once("exit", () => {
  for (const worker of live) worker.kill("SIGCONT");
});

export class Worker {
  #process;
  #lines;
  /** What the process says it is. */
  description = "";
  /** Its first line, `ready` included. */
  greeting = {};

  constructor(program, args, env = {}) {
    this.#process = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["pipe", "pipe", "inherit"] });
    live.add(this.#process);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  static async start(program, args, env) {
    const worker = new Worker(program, args, env);
    worker.greeting = await worker.#reply();
    worker.description = worker.greeting.ready;
    worker.#process.kill("SIGSTOP");
    return worker;
  }

  /** Runs an operation of the worker's task. Between calls the process is stopped: threads that spin cost the other side. */
  async call(op, command = {}) {
    this.#process.kill("SIGCONT");
    this.#process.stdin.write(`${JSON.stringify({ op, ...command })}\n`);
    const reply = await this.#reply();
    this.#process.kill("SIGSTOP");
    return reply;
  }

  async stop() {
    const closed = once(this.#process, "close");
    this.#process.kill("SIGCONT");
    this.#process.stdin.end();
    await closed;
    live.delete(this.#process);
  }

  async #reply() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error("A worker ended before its reply; its error is above");
    return JSON.parse(value);
  }
}

/** `node bench/ajet-worker.mjs TASK`. */
export function startAjet(task, args) {
  const script = fileURLToPath(new URL("ajet-worker.mjs", import.meta.url));
  return Worker.start(process.execPath, [script, task, JSON.stringify({ threads: THREADS, ...args })]);
}

/** `python bench/torch/worker.py TASK`, with malloc tuned unless `plainMalloc`. */
export function startTorch(options, task, args) {
  const script = fileURLToPath(new URL("torch/worker.py", import.meta.url));
  const env = { PYTHONDONTWRITEBYTECODE: "1", HF_HUB_OFFLINE: "1", ...(options.plainMalloc ? {} : TUNED_MALLOC) };
  return Worker.start(options.python, [script, task, JSON.stringify({ threads: THREADS, ...args })], env);
}
