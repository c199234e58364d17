import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RealMlflow } from "../../../bench/campaigns/mlflow-server.mjs";
import type { TrackerName } from "../../../src/report/loggers/contract.js";
import { mlflowName } from "../../../src/report/loggers/mlflow/batches.js";
import { expectedSeries, type Series } from "./lines.js";
import { LoggedRun, until } from "./run.js";

/** Has the packages: see CONTRIBUTING.md. */
const PYTHON = process.env["AJET_TEST_LOGGERS_PYTHON"] ?? "python3";
const READER = new URL("../../../bench/campaigns/read-series.py", import.meta.url).pathname;

function has(name: TrackerName): boolean {
  try {
    execFileSync(PYTHON, ["-c", `import ${name}`], { stdio: "ignore" });
    return true;
  } catch {
    console.warn(`skipped: ${PYTHON} has no package ${name} (name one that has in AJET_TEST_LOGGERS_PYTHON)`);
    return false;
  }
}

/** What a package reads from the files that are there. */
function readSeries(name: TrackerName, folder: string): Series {
  return JSON.parse(execFileSync(PYTHON, [READER, name, folder], { encoding: "utf8", maxBuffer: 2 ** 28 }));
}

/** Ends after step 3, goes on from step 1 and ends with step 4. */
async function interruptedAndResumed(run: LoggedRun, name: TrackerName, options: object): Promise<void> {
  const first = run.open([name], options);
  run.evaluation(first, 0);
  for (const step of [1, 2, 3]) run.step(first, step);
  await first.close("stopped");
  run.cutBack(1);
  const second = run.open([name], options, 1);
  for (const step of [2, 3, 4]) run.step(second, step);
  run.evaluation(second, 4);
  await second.close("finished");
  expect(run.warnings).toEqual([]);
}

describe.skipIf(!has("tensorboard"))("the real TensorBoard", () => {
  it("reads each point of a resumed run once", async () => {
    const run = new LoggedRun();
    await interruptedAndResumed(run, "tensorboard", {});
    const floats = Object.entries(expectedSeries(4, [0, 4])).map(([tag, points]) => [
      tag,
      points.map(([step, value]) => [step, Math.fround(value)]),
    ]);
    expect(readSeries("tensorboard", join(run.folder, "tensorboard"))).toEqual(Object.fromEntries(floats));
  });
});

for (const name of ["swanlab", "wandb"] as const) {
  describe.skipIf(!has(name))(`the real ${name}, offline,`, () => {
    it("holds each point of a resumed run once", async () => {
      const run = new LoggedRun();
      await interruptedAndResumed(run, name, { python: PYTHON });
      expect(readSeries(name, join(run.folder, "loggers"))).toEqual(expectedSeries(4, [0, 4]));
    });
  });
}

describe.skipIf(!has("mlflow"))("the real MLflow server", () => {
  const folder = mkdtempSync(join(tmpdir(), "ajet-mlflow-"));
  const server = new RealMlflow(PYTHON, folder);
  beforeAll(() => server.start());
  afterAll(async () => {
    await server.kill();
    rmSync(folder, { recursive: true });
  });

  const options = () => ({ mlflow: { tracking_uri: server.uri } });

  async function expectSeries(run: LoggedRun, series: Series): Promise<void> {
    const id = /runs\/(\w+)$/.exec(run.notes[0] as string)?.[1] as string;
    const expected = Object.fromEntries(Object.entries(series).map(([name, points]) => [mlflowName(name), points]));
    expect(await server.series(id, Object.keys(expected))).toEqual(expected);
  }

  it("holds each point of a resumed run once", async () => {
    const run = new LoggedRun();
    await interruptedAndResumed(run, "mlflow", options());
    await expectSeries(run, expectedSeries(4, [0, 4]));
  });

  it("gets the steps that it missed while it was down, and is told of once", async () => {
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options());
    for (const step of [1, 2]) run.step(loggers, step);
    await until(() => run.notes.length > 0);
    await server.kill();
    for (const step of [3, 4]) run.step(loggers, step);
    await until(() => run.warnings.length > 0);
    await server.start();
    run.step(loggers, 5);
    await until(() => run.notes.includes("logger mlflow answers again"));
    await loggers.close("finished");
    expect(run.warnings).toEqual([expect.stringMatching(/^logger mlflow: .* does not answer .* The run goes on/)]);
    await expectSeries(run, expectedSeries(5, []));
  });
});
