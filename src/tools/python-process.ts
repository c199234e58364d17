import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import type { PythonResult } from "../agent/tools.js";
import { type PythonInterpreter, START_MS } from "./python-interpreter.js";
import type { Isolation } from "./python-isolation.js";
import { LIMITS, PYTHON_ZYGOTE } from "./python-zygote.js";

/** Limits that hold for every call. */
export interface PythonLimits {
  cpuSeconds: number;
  memoryBytes: number;
  /** Per stream. */
  outputBytes: number;
}

/** The process is gone, and the call with it: the call may be repeated in a new one. */
export class PythonProcessGone extends Error {}

const RESPONSE_HEADER_BYTES = 17;
const STDERR_KEPT = 2000;

interface Pending {
  resolve(result: PythonResult): void;
  reject(error: Error): void;
}

/** Node's end of the pre-forked interpreter (see python-zygote.ts for the frames). */
export class PythonProcess {
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, Pending>();
  private readonly exited: Promise<void>;
  private received: Buffer = Buffer.alloc(0);
  private stderr = "";
  private nextId = 1;
  private gone = false;
  /** Why it was killed here. */
  private late: string | undefined;

  /** Starts the interpreter; rejects with what it said where it does not come up. */
  static async start(python: PythonInterpreter, isolation: Isolation, limits: PythonLimits): Promise<PythonProcess> {
    const process = new PythonProcess(python, isolation, limits);
    const timer = setTimeout(() => {
      process.late = `it was not up within ${START_MS / 1000} s`;
      process.child.kill("SIGKILL");
    }, START_MS);
    try {
      await new Promise<PythonResult>((resolve, reject) => process.pending.set(0, { resolve, reject }));
    } finally {
      clearTimeout(timer);
    }
    process.hold(false);
    return process;
  }

  private constructor(python: PythonInterpreter, isolation: Isolation, limits: PythonLimits) {
    const config = {
      ...isolation.setup,
      cpu_seconds: limits.cpuSeconds,
      memory_bytes: limits.memoryBytes,
      output_bytes: limits.outputBytes,
    };
    const interpreter = [python.path, "-s", "-S", "-B", "-X", "utf8", "-c", PYTHON_ZYGOTE, JSON.stringify(config)];
    const [program = "", ...args] = [...isolation.command, ...interpreter];
    this.child = spawn(program, args, {
      cwd: "/",
      env: { PYTHONHASHSEED: "0" },
      detached: true, // its own session: Ctrl-C at the terminal is for Node alone
      stdio: ["pipe", "pipe", "pipe"],
      ...(isolation.uid === undefined ? {} : { uid: isolation.uid, gid: isolation.uid }),
    });
    this.child.stdout?.on("data", (chunk: Buffer) => this.receive(chunk));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr = (this.stderr + text).slice(-STDERR_KEPT);
    });
    this.child.stdin?.on("error", () => {}); // a write to a dead process: the exit is reported below
    this.exited = new Promise((resolve) => {
      this.child.once("error", (error) => this.end(error.message, resolve));
      this.child.once("close", (code, signal) => this.end(signal ?? `exit code ${code}`, resolve));
    });
  }

  /** False once the process has ended. */
  get alive(): boolean {
    return !this.gone;
  }

  run(code: string, timeoutMs: number): Promise<PythonResult> {
    if (this.gone) return Promise.reject(new PythonProcessGone("The Python process has ended."));
    const id = this.nextId;
    this.nextId = id === 0xffffffff ? 1 : id + 1;
    const source = Buffer.from(code);
    const header = Buffer.alloc(12);
    header.writeUInt32LE(8 + source.length, 0);
    header.writeUInt32LE(id, 4);
    header.writeUInt32LE(timeoutMs, 8);
    return new Promise((resolve, reject) => {
      if (this.pending.size === 0) this.hold(true);
      this.pending.set(id, { resolve, reject });
      this.child.stdin?.write(Buffer.concat([header, source]));
    });
  }

  /** Ends the process and whatever runs in it. */
  async stop(): Promise<void> {
    this.child.stdin?.destroy();
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 2000);
    await this.exited;
    clearTimeout(timer);
  }

  private receive(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    while (this.received.length >= 4 && this.received.length >= 4 + this.received.readUInt32LE(0)) {
      const size = 4 + this.received.readUInt32LE(0);
      this.settle(this.received.subarray(0, size));
      this.received = this.received.subarray(size);
    }
  }

  private settle(frame: Buffer): void {
    const id = frame.readUInt32LE(4);
    const pending = this.pending.get(id);
    this.pending.delete(id);
    if (this.pending.size === 0) this.hold(false);
    const limit = LIMITS[frame.readUInt8(12)];
    const stdoutEnd = RESPONSE_HEADER_BYTES + frame.readUInt32LE(13);
    pending?.resolve({
      exitCode: frame.readInt32LE(8),
      stdout: frame.toString("utf8", RESPONSE_HEADER_BYTES, stdoutEnd),
      stderr: frame.toString("utf8", stdoutEnd),
      ...(limit === undefined ? {} : { limit }),
    });
  }

  private end(reason: string, ended: () => void): void {
    this.gone = true;
    const said = this.stderr.trim().split("\n").at(-1);
    const error = new PythonProcessGone(`The Python process ended (${this.late ?? reason})${said ? `: ${said}` : ""}.`);
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
    ended();
  }

  /** An idle interpreter must not keep Node running; a busy one must. */
  private hold(busy: boolean): void {
    for (const handle of [this.child, this.child.stdin, this.child.stdout, this.child.stderr]) {
      if (busy) (handle as Socket | null)?.ref();
      else (handle as Socket | null)?.unref();
    }
  }
}
