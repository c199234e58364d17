import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { PYTHON_BRIDGE } from "./bridge-source.js";

/** An answer of the bridge: see bridge-source.ts. */
export interface BridgeAnswer {
  where?: string;
  holds?: number;
  logged?: number;
  finished?: true;
  error?: string;
}

interface Waiting {
  resolve(answer: BridgeAnswer): void;
  reject(error: Error): void;
}

/** Node's end of a Python process with one tracker's package; answers come in the order of commands. */
export class BridgeProcess {
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];
  readonly #logFile: string;
  #failure: Error | undefined;

  /** @param logFile Gets what the package prints. */
  constructor(python: string, tracker: string, logFile: string) {
    this.#logFile = logFile;
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, "a");
    try {
      this.#child = spawn(python, ["-u", "-X", "utf8", "-c", PYTHON_BRIDGE, tracker], {
        stdio: ["ignore", log, log, "pipe", "pipe"],
        detached: true, // its own session: Ctrl-C at the terminal is for Node alone
      });
    } finally {
      closeSync(log);
    }
    this.#input.on("error", () => {}); // a write to a dead process: its end is reported below
    createInterface({ input: this.#child.stdio[4] as Readable }).on("line", (line) => this.#receive(line));
    this.#child.once("error", (error) => this.#end(new Error(`${python} cannot be started: ${error.message}`)));
    this.#child.once("close", (code, signal) =>
      this.#end(new Error(`its Python process ended (${signal ?? `exit code ${code}`}): ${this.#lastLine()}`)),
    );
  }

  /** Sends a command. @throws What the package raised, or that the process is gone. */
  ask(command: object): Promise<BridgeAnswer> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#input.write(`${JSON.stringify(command)}\n`);
    });
  }

  /** Ends the process and those that it started. */
  kill(): void {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // it has ended in between
    }
  }

  get #input(): Writable {
    return this.#child.stdio[3] as Writable;
  }

  #receive(line: string): void {
    const answer = JSON.parse(line) as BridgeAnswer; // the bridge alone writes here
    const waiting = this.#waiting.shift();
    if (answer.error === undefined) waiting?.resolve(answer);
    else {
      this.#failure = new Error(answer.error);
      waiting?.reject(this.#failure);
    }
  }

  #end(failure: Error): void {
    this.#failure ??= failure;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }

  #lastLine(): string {
    try {
      return readFileSync(this.#logFile, "utf8").trimEnd().split("\n").at(-1) || "without a word";
    } catch {
      return "without a word";
    }
  }
}
