/** A real `mlflow server` on this machine, with its data in a folder. */
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Seconds on an idle machine. */
const START_MS = 230_000;

export class RealMlflow {
  #child;

  /** @param python Has the package mlflow. */
  constructor(python, folder) {
    this.python = python;
    this.folder = folder;
    this.port = 0;
  }

  get uri() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves when it answers. Started again, it has the port and the data that it had. */
  async start() {
    this.port ||= await freePort();
    const store = `sqlite:///${join(this.folder, "mlflow.db")}`;
    const where = ["--backend-store-uri", store, "--default-artifact-root", join(this.folder, "artifacts")];
    const address = ["--host", "127.0.0.1", "--port", String(this.port), "--workers", "1"];
    const child = spawn(this.python, ["-m", "mlflow", "server", ...address, ...where], {
      cwd: this.folder,
      // Its queues for jobs, a dozen processes, are for other things than tracking.
      env: { ...process.env, MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false" },
      stdio: "ignore",
      detached: true, // a group of its own, so that its workers end with it
    });
    this.#child = child;
    for (const end = performance.now() + START_MS; !(await this.#answers()); ) {
      if (performance.now() > end || child.exitCode !== null)
        throw new Error(`${this.python} -m mlflow server does not start`);
      await sleep(200);
    }
  }

  /** At once, as a machine that fails. */
  async kill() {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    process.kill(-child.pid, "SIGKILL");
    await ended;
  }

  /** The points of a run's metrics: {name: [[step, value], ...]}. */
  async series(run, names) {
    const series = {};
    for (const name of names) {
      const query = new URLSearchParams({ run_id: run, metric_key: name });
      const answer = await fetch(`${this.uri}/api/2.0/mlflow/metrics/get-history?${query}`);
      const { metrics = [] } = await answer.json();
      series[name] = metrics.map(({ step, value }) => [Number(step ?? 0), value]);
    }
    return series;
  }

  async #answers() {
    try {
      return (await fetch(`${this.uri}/health`)).ok;
    } catch {
      return false;
    }
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
