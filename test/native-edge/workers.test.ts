import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { runScript } from "./run-script.js";
import { KV_BYTES, TINY } from "./tiny-model.js";

const WORKER = new URL("./fixtures/sampling-worker.mjs", import.meta.url);
const workerData = {
  addonPath:
    process.env["AJET_NATIVE_PATH"] ?? fileURLToPath(new URL("../../native/build/Release/ajet.node", import.meta.url)),
  config: TINY,
  kvBytes: KV_BYTES,
};

interface Report {
  tokens: Int32Array;
  diff: number;
  gradNorm: number;
}

async function runToTheEnd(): Promise<Report> {
  const worker = new Worker(WORKER, { workerData: { ...workerData, endless: false } });
  const exited = once(worker, "exit");
  const [report] = (await once(worker, "message")) as [Report];
  expect(await exited).toEqual([0]); // by itself: idle handles do not hold a worker
  return report;
}

describe("environments", () => {
  it("two workers sample and train at once, each as if alone", async () => {
    const alone = await runToTheEnd();
    expect(alone.diff).toBe(0);
    expect(alone.tokens).toHaveLength(300);
    for (const report of await Promise.all([runToTheEnd(), runToTheEnd()])) expect(report).toEqual(alone);
  });

  it("survives 20 workers that are terminated while they sample", async () => {
    // In a process of its own: a crash must fail this test, not the runner.
    const result = await runScript(`
      import { Worker } from "node:worker_threads";
      import { once } from "node:events";
      const start = () => new Worker(new URL(${JSON.stringify(WORKER.href)}), { execArgv: [], workerData: ${JSON.stringify({ ...workerData, endless: true })} });
      for (let round = 0; round < 10; round++) {
        const workers = [start(), start()];
        await Promise.all(workers.map((worker) => once(worker, "message")));
        await Promise.all(workers.map((worker) => worker.terminate()));
      }
      console.log("survived");
    `);
    expect(result).toEqual({ code: 0, signal: null, stdout: "survived\n", stderr: "" });
  }, 240_000);

  it("survives workers that are terminated at any moment of their start", async () => {
    const result = await runScript(`
      import { Worker } from "node:worker_threads";
      for (let round = 0; round < 20; round++) {
        const worker = new Worker(new URL(${JSON.stringify(WORKER.href)}), { execArgv: [], workerData: ${JSON.stringify({ ...workerData, endless: true })} });
        await new Promise((resolve) => setTimeout(resolve, 10 + 3 * round));
        await worker.terminate();
      }
      console.log("survived");
    `);
    expect(result).toEqual({ code: 0, signal: null, stdout: "survived\n", stderr: "" });
  }, 240_000);
});
