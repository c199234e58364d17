import { describe, expect, it, onTestFinished } from "vitest";
import { batchesOf, mlflowName } from "../../../src/report/loggers/mlflow/batches.js";
import { expectedSeries } from "./lines.js";
import { MlflowServer } from "./mlflow-server.js";
import { LoggedRun, until } from "./run.js";

/** Series under MLflow's names. */
function asMlflow(series: Record<string, [number, number][]>) {
  return Object.fromEntries(Object.entries(series).map(([name, points]) => [mlflowName(name), points]));
}

async function start(port = 0) {
  const server = new MlflowServer();
  const uri = await server.listen(port);
  onTestFinished(() => server.stop());
  return { server, options: { mlflow: { tracking_uri: uri } }, uri };
}

describe("mlflow", () => {
  it("logs each metric once, the configuration as parameters, and how the run ended", async () => {
    const { server, options, uri } = await start();
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    run.evaluation(loggers, 0);
    for (const step of [1, 2, 3]) run.step(loggers, step);
    run.evaluation(loggers, 3);
    await loggers.close("finished");
    expect(run.warnings).toEqual([]);
    expect(run.notes).toEqual([`mlflow: ${uri}/#/experiments/7/runs/r1`]);
    expect(server.series()).toEqual(asMlflow(expectedSeries(3, [0, 3])));
    expect(server.bodiesOf("experiments/create")).toEqual([{ name: "ajet test" }]);
    expect(server.bodiesOf("runs/create")[0]).toMatchObject({ experiment_id: "7", run_name: "a run" });
    const [{ params }] = server.bodiesOf("runs/log-batch");
    expect(params).toContainEqual({ key: "trainer_common.optim.lr", value: "0.000001" });
    expect(params).toContainEqual({ key: "task_judge.args.api_key", value: "***" });
    expect(server.bodiesOf("runs/update")).toMatchObject([{ run_id: "r1", status: "FINISHED" }]);
  });

  it("goes on with the same run, from the first step that it does not hold", async () => {
    const { server, options } = await start();
    const run = new LoggedRun();
    const first = run.open(["mlflow"], options);
    for (const step of [1, 2, 3]) run.step(first, step);
    await first.close("stopped");
    run.cutBack(1);
    const second = run.open(["mlflow"], options, 1);
    for (const step of [2, 3, 4]) run.step(second, step);
    await second.close("failed");
    expect(server.series()).toEqual(asMlflow(expectedSeries(4, [])));
    expect(server.bodiesOf("runs/create")).toHaveLength(1);
    expect(server.bodiesOf("runs/update").map(({ status }) => status)).toEqual(["KILLED", "RUNNING", "FAILED"]);
  });

  it("does not repeat what arrived unnoticed before the run ended", async () => {
    const { server, options } = await start();
    const run = new LoggedRun();
    const first = run.open(["mlflow"], { ...options, close_timeout_s: 0.2 });
    for (const step of [1, 2]) run.step(first, step);
    await until(() => server.tags.get("ajet.holds") === "4");
    server.trouble = "lost answer";
    run.step(first, 3);
    await until(() => server.tags.get("ajet.holds") === "6");
    await first.close("stopped");
    server.trouble = undefined;
    run.cutBack(2);
    const second = run.open(["mlflow"], options, 2);
    for (const step of [3, 4]) run.step(second, step);
    await second.close("finished");
    expect(server.series()).toEqual(asMlflow(expectedSeries(4, [])));
  });

  it("keeps the steps of a server that is down, says so once, and sends them when it is back", async () => {
    const { server, options, uri } = await start();
    await server.stop();
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    for (const step of [1, 2]) run.step(loggers, step);
    await until(() => run.warnings.length > 0);
    const { server: again } = await start(Number(new URL(uri).port));
    await until(() => run.notes.length > 1);
    run.step(loggers, 3);
    await loggers.close("finished");
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toContain(`logger mlflow: ${uri} does not answer (ECONNREFUSED). The run goes on`);
    expect(run.notes).toContain("logger mlflow answers again");
    expect(again.series()).toEqual(asMlflow(expectedSeries(3, [])));
  });

  it("that ends in mid-run keeps the run going, is told of once, and gets what it missed", async () => {
    const { server, options, uri } = await start();
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    run.step(loggers, 1);
    await until(() => server.points.length > 0);
    await server.stop();
    for (const step of [2, 3]) run.step(loggers, step);
    await until(() => run.warnings.length > 0);
    run.step(loggers, 4);
    const { server: again } = await start(Number(new URL(uri).port));
    await until(() => run.notes.includes("logger mlflow answers again"));
    await loggers.close("finished");
    expect(run.warnings).toEqual([expect.stringContaining(`logger mlflow: ${uri} does not answer`)]);
    const both = [...server.points, ...again.points].filter(({ key }) => key === "training/global_step");
    expect(both.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  });

  it("gives up at the run's end where the server is still down; a resumed run sends what it missed", async () => {
    const { server, options, uri } = await start();
    await server.stop();
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    for (const step of [1, 2]) run.step(loggers, step);
    await loggers.close("finished");
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toMatch(/^logger mlflow is off: .* does not answer/);
    const { server: again } = await start(Number(new URL(uri).port));
    const second = run.open(["mlflow"], options, 2);
    run.step(second, 3);
    await second.close("finished");
    expect(again.series()).toEqual(asMlflow(expectedSeries(3, [])));
  });

  it.each([
    [{ status: 503, body: "busy" }, "answers with status 503. The run goes on"],
    [{ status: 401, body: "You are not authenticated" }, "is off: "],
    [
      { status: 400, body: '{"error_code":"INVALID_PARAMETER_VALUE","message":"Bad name"}' },
      "INVALID_PARAMETER_VALUE: Bad name",
    ],
    [{ status: 200, body: "<html>another server</html>" }, "answers status 200: <html>another server</html>"],
  ])("says what a server answers that refuses (%o)", async (trouble, part) => {
    const { server, options } = await start();
    server.trouble = trouble;
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    run.step(loggers, 1);
    await until(() => run.warnings.length > 0);
    expect(run.warnings[0]).toContain(part);
    expect(run.warnings[0]).toContain("MLFLOW_TRACKING_URI");
    await loggers.close("finished");
  });

  it("does not hold up the run's end where the server is silent", async () => {
    const { server, options } = await start();
    server.trouble = "silence";
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], { ...options, close_timeout_s: 0.5 });
    run.step(loggers, 1);
    await loggers.close("finished");
    expect(run.warnings).toEqual([expect.stringContaining("it was not done 0.5 s after the run's end")]);
  });

  it("logs in with the URI's user, or with the client's environment variables", async () => {
    const { server, uri } = await start();
    const run = new LoggedRun();
    process.env["MLFLOW_TRACKING_TOKEN"] = "token-1";
    onTestFinished(() => {
      delete process.env["MLFLOW_TRACKING_TOKEN"];
    });
    await run.open(["mlflow"], { mlflow: { tracking_uri: uri } }).close("finished");
    expect(new Set(server.asked.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer token-1"]));
    server.asked.length = 0;
    const withUser = uri.replace("http://", "http://me:p%40ss@");
    const other = new LoggedRun();
    await other.open(["mlflow"], { mlflow: { tracking_uri: withUser } }).close("finished");
    expect(server.asked[0]?.authorization).toBe(`Basic ${Buffer.from("me:p@ss").toString("base64")}`);
    expect(other.notes.join()).not.toContain("p%40ss");
  });

  it("splits what is above the API's limits", async () => {
    const { server, options } = await start();
    const run = new LoggedRun();
    const loggers = run.open(["mlflow"], options);
    const many = Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`workflow/m${i}`, i]));
    loggers.log("step", { step: 1, ...many });
    await loggers.close("finished");
    const sizes = server.bodiesOf("runs/log-batch").flatMap(({ metrics }) => metrics?.length ?? []);
    expect(sizes).toEqual([1000, 1000, 500]);
    expect(server.tags.get("ajet.holds")).toBe("2");
  });

  it("sends whole records together as far as the API's limit goes", () => {
    const values = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`m${i}`, i]));
    const records = [1, 2, 3, 4, 5].map((step) => ({ kind: "step" as const, step, time: 0, values }));
    const sent = [...batchesOf(records)].map(({ metrics, tags }) => [metrics.length, tags[0]?.value]);
    expect(sent).toEqual([
      [800, "4"],
      [800, "8"],
      [400, "10"],
    ]);
  });

  it("refuses a URI that is none without harm to the run", async () => {
    const run = new LoggedRun();
    process.env["MLFLOW_TRACKING_URI"] = "./mlruns";
    onTestFinished(() => {
      delete process.env["MLFLOW_TRACKING_URI"];
    });
    const loggers = run.open(["mlflow"]);
    run.step(loggers, 1);
    await loggers.close("finished");
    expect(run.warnings).toEqual([
      expect.stringMatching(/logger mlflow is off: .*MLFLOW_TRACKING_URI but received "\.\/mlruns"/),
    ]);
  });
});
