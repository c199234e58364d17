/**
 * Short runs of the tutorial with every logger, one of them killed and resumed, and whether the loggers' own readers return the
 * series of metrics.jsonl and validation.jsonl: each name, each step once, each value.
 *
 *   node bench/campaigns/loggers.mjs PYTHON
 *
 * PYTHON has tensorboard, swanlab and wandb (both used offline), and mlflow, whose server is started; without it, MLflow is left
 * out. Takes about a minute. Exits 1 where a series differs.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ajet, ajet, settings, tinyRun } from "./ajet.mjs";
import { RealMlflow } from "./mlflow-server.mjs";

const [python] = process.argv.slice(2);
if (python === undefined) throw new Error("usage: node bench/campaigns/loggers.mjs PYTHON");
const READER = fileURLToPath(new URL("read-series.py", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ajet-loggers-"));
const mlflow =
  spawnSync(python, ["-c", "import mlflow"]).status === 0 ? new RealMlflow(python, join(folder, "mlflow")) : undefined;
if (mlflow) mkdirSync(mlflow.folder);
process.on("exit", () => void mlflow?.kill());
await mlflow?.start();
const LOGGERS = ["tensorboard", "swanlab", "wandb", ...(mlflow ? ["mlflow"] : [])];
const VALUES = {
  project_name: `ajet-loggers-${process.pid}`,
  "trainer_common.total_training_steps": 40,
  "trainer_common.test_freq": 4,
  "trainer_common.save_freq": 3,
  "trainer_common.logger": LOGGERS,
  "trainer_common.logger_options": {
    python,
    tensorboard: {},
    swanlab: { mode: "offline" },
    wandb: { mode: "offline" },
    mlflow: { tracking_uri: mlflow?.uri ?? null },
  },
};

/** What the run says happened: {name: Map(step, value)}; of two lines with one step, the later. */
function expectedSeries(run) {
  const series = new Map();
  for (const file of ["metrics.jsonl", "validation.jsonl"]) {
    for (const line of readFileSync(join(run, file), "utf8").trimEnd().split("\n")) {
      const { step, ...values } = JSON.parse(line);
      for (const [name, value] of Object.entries(values)) {
        if (!Number.isFinite(value)) continue;
        if (!series.has(name)) series.set(name, new Map());
        series.get(name).set(step, value);
      }
    }
  }
  return series;
}

async function loggedSeries(logger, run, names) {
  if (logger === "mlflow") return mlflowSeries(run, names);
  const place = join(run, logger === "tensorboard" ? "tensorboard" : "loggers");
  return JSON.parse(
    execFileSync(python, [READER, logger, place], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
  );
}

async function mlflowSeries(run, names) {
  const { id } = JSON.parse(readFileSync(join(run, "loggers", "mlflow.json"), "utf8"));
  const there = (name) => name.replaceAll("@", "_at_");
  const series = await mlflow.series(id, names.map(there));
  return Object.fromEntries(names.map((name) => [name, series[there(name)]]));
}

/** What is wrong with a logger's series; `isRepeated` tells which steps were measured twice, where clocks may differ. */
function differences(logger, expected, logged, isRepeated) {
  const stored = (value) => (logger === "tensorboard" ? Math.fround(value) : value);
  const wrong = [];
  for (const name of new Set([...expected.keys(), ...Object.keys(logged)])) {
    const points = (logged[name] ?? []).toSorted(([a], [b]) => a - b);
    const should = [...(expected.get(name) ?? [])];
    const isClock = /^(timing_s|perf)\//.test(name);
    const same =
      points.length === should.length &&
      should.every(([step, value], i) => {
        const [at, found] = points[i];
        return at === step && (found === stored(value) || (isClock && isRepeated(step)));
      });
    if (!same) wrong.push(`${name}: ${JSON.stringify(points)} instead of ${JSON.stringify(should)}`);
  }
  return wrong;
}

async function compare(name, isRepeated) {
  const run = join(folder, name);
  const expected = expectedSeries(run);
  let failures = 0;
  for (const logger of LOGGERS) {
    const logged = await loggedSeries(logger, run, [...expected.keys()]);
    // TensorBoard's files are cut back with metrics.jsonl; what a service has stays.
    const wrong = differences(logger, expected, logged, logger === "tensorboard" ? () => false : isRepeated);
    const points = [...expected.values()].reduce((sum, values) => sum + values.size, 0);
    failures += wrong.length;
    console.log(`${name}, ${logger}: ${expected.size} series, ${points} points, ${wrong.length} series differ`);
    for (const line of wrong.slice(0, 5)) console.log(`  ${line}`);
  }
  return failures;
}

async function checked(run) {
  const { code, stderr } = await run;
  if (code !== 0 || /logger \w+ is off/.test(stderr)) throw new Error(`exit code ${code}\n${stderr}`);
}

function steps(name) {
  try {
    return readFileSync(join(folder, name, "metrics.jsonl"), "utf8").split("\n").length - 1;
  } catch {
    return 0;
  }
}

const whole = { ...VALUES, "trainer_common.total_training_steps": 4 };
await checked(ajet(["train", ...tinyRun(folder, "whole", whole)]));
let failures = await compare("whole", () => false);

const killed = new Ajet(["train", ...tinyRun(folder, "killed", VALUES)]);
const areOpen = () => LOGGERS.every((logger) => killed.stderr.includes(`note: ${logger}`));
await killed.until(() => areOpen() && steps("killed") % 3 === 2);
killed.child.kill("SIGKILL");
await killed.finished;
const [last] = readdirSync(join(folder, "killed", "checkpoints"))
  .map((name) => Number(name.split("_")[1]))
  .sort((a, b) => b - a);
console.log(`killed after step ${steps("killed")}, goes on from step ${last}`);
await checked(ajet(["train", "--resume", "killed", ...settings({ experiment_dir: folder })]));
failures += await compare("killed", (step) => step > last);

rmSync(folder, { recursive: true });
console.log(failures === 0 ? "every logger has the run's series" : `${failures} series differ`);
process.exit(failures === 0 ? 0 : 1);
