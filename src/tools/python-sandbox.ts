import { availableParallelism } from "node:os";
import type { PythonResult } from "../agent/tools.js";
import { ConfigError, DisposedError } from "../native/errors.js";
import { findPython, type PythonInterpreter, START_MS } from "./python-interpreter.js";
import { findIsolations, type Isolation, type IsolationName, noIsolation } from "./python-isolation.js";
import { type PythonLimits, PythonProcess, PythonProcessGone } from "./python-process.js";
import { MAX_CALLS } from "./python-zygote.js";

export interface PythonSandboxOptions {
  /** Run without isolation where none works here. */
  unsafe?: boolean;
  /** Insist on one isolation. */
  isolation?: IsolationName;
  /** Interpreter to use instead of the one that is found. */
  python?: string;
  /** CPU time of a call, default 2. */
  cpuSeconds?: number;
  /** Address space of a call, default 512 MiB. */
  memoryBytes?: number;
  /** Per stream, default 64 KiB. */
  outputBytes?: number;
  /** Wall-clock limit of a call, default 20 s: CPU time, which repeats, should end a loop first. */
  timeoutMs?: number;
  /** Calls that run at once, default one per core and at most 256; the others wait, and their clocks with them. */
  maxConcurrent?: number;
}

/** Runs programs in real CPython, kept from the machine. */
export interface PythonSandbox {
  readonly isolation: IsolationName;
  /** Isolation and interpreter, in one line. */
  readonly description: string;
  /** Never rejects for what the program does; see {@link PythonResult}. */
  run(code: string, options?: { timeoutMs?: number }): Promise<PythonResult>;
  dispose(): Promise<void>;
}

const MAX_CODE_BYTES = 1 << 20;
const ATTEMPTS = 3;

/** Prints 42 where the root cannot be written and no network answers. */
const PROBE = `
import errno, socket
try:
    open("/probe", "w")
    print("the root can be written")
except OSError:
    pass
try:
    socket.create_connection(("192.0.2.1", 9), 0.2)
except OSError as error:
    if error.errno != errno.ENETUNREACH:
        print("there is a network:", error)
print(6 * 7)
`;

/** Finds an interpreter and an isolation that works here, and starts them. */
export async function createPythonSandbox(options: PythonSandboxOptions = {}): Promise<PythonSandbox> {
  const python = await findPython(options.python);
  const limits: PythonLimits = {
    cpuSeconds: options.cpuSeconds ?? 2,
    memoryBytes: options.memoryBytes ?? 512 * 2 ** 20,
    outputBytes: options.outputBytes ?? 64 * 2 ** 10,
  };
  const { candidates, missing } = findIsolations(python);
  if (options.unsafe || options.isolation === "none") candidates.push(noIsolation());
  const problems = [...missing];
  for (const isolation of candidates) {
    if (options.isolation !== undefined && options.isolation !== isolation.name) continue;
    try {
      const process = await startProbed(python, isolation, limits);
      return new ProcessSandbox(python, isolation, limits, options, process);
    } catch (error) {
      problems.push(`${isolation.name}: ${(error as Error).message}`);
    }
  }
  throw new ConfigError(
    "The Python tool runs what the model writes, and nothing here can isolate it. Install bubblewrap " +
      "(`apt-get install bubblewrap`), allow unprivileged user namespaces, or accept the risk with --unsafe-tools. " +
      `Tried: ${problems.join("; ")}`,
  );
}

async function startProbed(
  python: PythonInterpreter,
  isolation: Isolation,
  limits: PythonLimits,
): Promise<PythonProcess> {
  const process = await PythonProcess.start(python, isolation, limits);
  const { stdout, stderr } = await process.run(isolation.name === "none" ? "print(6 * 7)" : PROBE, START_MS);
  if (stdout.trim() === "42") return process;
  await process.stop();
  throw new Error(`the probe said ${JSON.stringify(stdout + stderr)}`);
}

class ProcessSandbox implements PythonSandbox {
  readonly isolation: IsolationName;
  readonly description: string;
  private process: Promise<PythonProcess>;
  private live: PythonProcess;
  private disposed = false;
  private free: number;
  private readonly waiting: (() => void)[] = [];
  private readonly timeoutMs: number;

  constructor(
    private readonly python: PythonInterpreter,
    private readonly how: Isolation,
    private readonly limits: PythonLimits,
    options: PythonSandboxOptions,
    process: PythonProcess,
  ) {
    this.isolation = how.name;
    this.description = `${how.description} (Python ${python.version}, ${python.path})`;
    this.live = process;
    this.process = Promise.resolve(process);
    this.free = Math.min(options.maxConcurrent ?? availableParallelism(), MAX_CALLS);
    this.timeoutMs = options.timeoutMs ?? 20_000;
  }

  async run(code: string, options: { timeoutMs?: number } = {}): Promise<PythonResult> {
    if (Buffer.byteLength(code) > MAX_CODE_BYTES) {
      return { exitCode: 1, stdout: "", stderr: `SyntaxError: more than ${MAX_CODE_BYTES} bytes of code\n` };
    }
    const timeoutMs = Math.max(1, Math.round(Math.min(options.timeoutMs ?? this.timeoutMs, 2 ** 31 - 1)));
    await this.acquire();
    try {
      return await this.runAgainIfGone(code, timeoutMs);
    } finally {
      this.release();
    }
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    await (await this.process.catch(() => undefined))?.stop();
  }

  /** A program cannot end the interpreter it was forked from, but the machine can (memory). Programs leave no trace, so again. */
  private async runAgainIfGone(code: string, timeoutMs: number): Promise<PythonResult> {
    for (let attempt = 1; ; attempt++) {
      if (this.disposed) throw new DisposedError("The Python sandbox was disposed of.");
      const process = await this.current();
      try {
        return await process.run(code, timeoutMs);
      } catch (error) {
        if (!(error instanceof PythonProcessGone) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  private current(): Promise<PythonProcess> {
    if (!this.live.alive) {
      const replaced = this.live;
      this.process = this.process
        .catch(() => replaced)
        .then((process) => (process.alive ? process : PythonProcess.start(this.python, this.how, this.limits)))
        .then((process) => {
          this.live = process;
          return process;
        });
    }
    return this.process;
  }

  private async acquire(): Promise<void> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private release(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  }
}
