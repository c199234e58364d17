import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { RunFolder } from "../train/run-folder.js";
import type { LogviewStarted } from "./logview.js";
import { openBrowser } from "./open-browser.js";
import type { Output } from "./output.js";

/** How long the pages may take to come up. */
const START_MS = 120_000;

/** The pages about a run, in a process of their own: what they read and draw takes nothing from the run's event loop. */
export class RunPages implements Disposable {
  #child: ChildProcess | undefined;
  #started: Promise<LogviewStarted | undefined> | undefined;

  /** @param isWanted False: nothing is ever shown. */
  constructor(
    private readonly output: Output,
    private readonly isWanted: boolean,
  ) {}

  /** Shows a run that has its folder, beside its neighbours. Prints the address once it is known. */
  show({ path }: RunFolder): void {
    if (!this.isWanted) return;
    const main = fileURLToPath(new URL("main.js", import.meta.url));
    // A group of its own: Ctrl-C is the run's. The pages go when the channel to it closes, however the run ends.
    this.#child = fork(main, ["logview", dirname(path), "--no-open"], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      detached: true,
      execArgv: [], // a debugger's port is the run's
    });
    this.#started = this.#announce(this.#child, basename(path));
  }

  /** At the run's end: on a terminal, the pages stay until `stop` resolves. */
  async end(stop: Promise<void>): Promise<void> {
    const started = await this.#started;
    if (started === undefined || !this.output.interactive || !this.#child?.connected) return;
    this.output.line("the pages stay until Ctrl-C");
    await Promise.race([stop, once(this.#child, "exit")]);
  }

  [Symbol.dispose](): void {
    if (this.#child?.connected) this.#child.disconnect();
  }

  /** A run goes on without its pages. */
  async #announce(child: ChildProcess, run: string): Promise<LogviewStarted | undefined> {
    let problem = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      problem += chunk.toString("utf8");
    });
    const signal = AbortSignal.timeout(START_MS);
    const message = once(child, "message", { signal }).then(([value]) => value as LogviewStarted);
    const ended = once(child, "exit", { signal }).then(() => undefined);
    const started = await Promise.race([message, ended]).catch(() => undefined);
    for (const left of [message, ended]) left.catch(() => {}); // the time-out of what did not happen
    if (started === undefined) {
      this.output.note(`note: the pages are not shown: ${problem.trim() || "they did not start"}`);
      return undefined;
    }
    const url = `${started.url}#/curves?runs=${encodeURIComponent(run)}`;
    this.output.line(`pages ${url}`);
    openBrowser(url);
    return started;
  }
}
