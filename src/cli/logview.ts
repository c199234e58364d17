import type { Command } from "commander";
import { type RunningLogview, startLogview } from "../logview/server.js";
import { openBrowser } from "./open-browser.js";
import { type CommonOptions, command, parseCount } from "./options.js";
import { Output } from "./output.js";
import { StopSignal } from "./stop-signal.js";

interface LogviewCommandOptions extends CommonOptions {
  port: number;
  open: boolean;
}

/** What `ajet logview` tells the run that started it. */
export interface LogviewStarted {
  url: string;
  port: number;
}

/** `ajet logview`: the pages about runs, live. */
export function addLogview(program: Command): void {
  command(program, "logview", "shows runs in the browser: curves, episodes, tokens; live while they go on")
    .argument("[dir]", "a run's folder, or one with several", "saved_experiments")
    .option("--port <n>", "0 picks a free one", parseCount, 0)
    .option("--no-open", "only prints the address")
    .action((folder: string, options: LogviewCommandOptions) => serve(folder, options));
}

async function serve(folder: string, options: LogviewCommandOptions): Promise<void> {
  const output = new Output(options);
  using stop = new StopSignal();
  const logview = await startLogview({ folder, port: options.port });
  if (process.send === undefined) {
    output.line(`${folder} is shown at ${logview.url}`);
    output.line("Only this machine reaches it, and only with this address. Ctrl-C ends it.");
    output.result({ url: logview.url, port: logview.port } satisfies LogviewStarted);
    if (options.open) openBrowser(logview.url);
    await stop.fired();
  } else {
    await serveTheParent(logview);
  }
  await logview.stop();
}

/** Started by a run: it prints the address, and the pages go when it does, however it ends. */
async function serveTheParent({ url, port }: RunningLogview): Promise<void> {
  const gone = new Promise((resolve) => process.once("disconnect", resolve));
  process.send?.({ url, port } satisfies LogviewStarted);
  if (process.connected) await gone;
}
