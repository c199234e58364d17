import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { jsonLines, ROOT } from "../../cli/ajet.js";
import { stepLine } from "./lines.js";
import { LoggedRun, until } from "./run.js";

const PACKAGES = new URL("fixtures/packages", import.meta.url).pathname;

/** Lets Python find the package that notes what it is told. */
function useNotingPackage(trouble = ""): void {
  const before = { ...process.env };
  process.env["PYTHONPATH"] = PACKAGES;
  process.env["AJET_TEST_PACKAGE"] = trouble;
  onTestFinished(() => {
    process.env = before;
  });
}

// biome-ignore lint/suspicious/noExplicitAny: what tests look into
function told(run: LoggedRun): any[] {
  const file = join(run.folder, "loggers", "told.jsonl");
  return existsSync(file) ? jsonLines(readFileSync(file, "utf8")) : [];
}

/** Logs in a process of its own, and kills that. */
async function killAfterThreeSteps(run: LoggedRun): Promise<void> {
  const script = new URL("killed-run.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, ["--import", "tsx", script, run.folder], { cwd: ROOT, stdio: "inherit" });
  await until(() => told(run).some(({ step }) => step === 3));
  child.kill("SIGKILL");
}

function isAlive(pid: number): boolean {
  try {
    // A zombie waits for its parent to notice.
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe("a tracker in Python", () => {
  it("tells the package each step once, in its own process", async () => {
    useNotingPackage();
    const run = new LoggedRun();
    const loggers = run.open(["wandb"]);
    run.evaluation(loggers, 0);
    for (const step of [1, 2]) run.step(loggers, step);
    await loggers.close("finished");
    expect(run.warnings).toEqual([]);
    expect(run.notes).toEqual([`wandb: ${join(run.folder, "loggers")}`]);
    const [{ init, pid }, ...rest] = told(run);
    expect(init).toMatchObject({ project: "ajet-test", name: "a run", resume: "allow", mode: "offline" });
    expect(init.id).toMatch(/^[0-9a-z]{21}$/);
    expect(init.config.task_judge.args.api_key).toBe("***");
    expect(rest.map(({ step }) => step)).toEqual([0, 1, 2, undefined]);
    const { step: _, ...values } = stepLine(2);
    expect(rest[2].values).toEqual(values);
    expect(rest[3]).toEqual({ finish: 0 });
    expect(pid).not.toBe(process.pid);
  });

  it("goes on with the same run, from the first step that it does not hold", async () => {
    useNotingPackage();
    const run = new LoggedRun();
    const first = run.open(["wandb"]);
    for (const step of [1, 2, 3]) run.step(first, step);
    await first.close("stopped");
    run.cutBack(1);
    const second = run.open(["wandb"], {}, 1);
    for (const step of [2, 3, 4]) run.step(second, step);
    await second.close("failed");
    const lines = told(run);
    const ids = lines.flatMap(({ init }) => (init ? [init.id] : []));
    expect(ids).toEqual([ids[0], ids[0]]);
    expect(lines.flatMap(({ step }) => step ?? [])).toEqual([1, 2, 3, 4]);
    expect(lines.flatMap(({ finish }) => finish ?? [])).toEqual([1, 1]);
  });

  it("is waited for where the run was killed and its package has not finished yet", async () => {
    useNotingPackage("slow finish");
    const run = new LoggedRun();
    await killAfterThreeSteps(run);
    run.cutBack(2);
    const loggers = run.open(["wandb"], {}, 2);
    for (const step of [3, 4]) run.step(loggers, step);
    await loggers.close("finished");
    expect(run.warnings).toEqual([]);
    const lines = told(run);
    expect(lines.map(({ init, step, finish }) => (init ? "init" : (step ?? `finish ${finish}`)))).toEqual([
      ...["init", 1, 2, 3, "finish 1"],
      ...["init", 4, "finish 0"],
    ]);
  });

  it("that does not come to an end ends all the same after the limit where the run was killed", async () => {
    useNotingPackage("endless finish");
    const run = new LoggedRun();
    await killAfterThreeSteps(run);
    const { pid } = told(run)[0];
    expect(isAlive(pid)).toBe(true);
    await until(() => !isAlive(pid));
  });

  it.each([
    ["login", "RuntimeError: api_key not configured (no-tty)"],
    ["raise", "OSError: [Errno 28] No space left on device"],
    ["exit", "its Python process ended (exit code 139): Segmentation fault, more or less"],
  ])("that fails (%s) says so once, with reason and remedy", async (trouble, reason) => {
    useNotingPackage(trouble);
    const run = new LoggedRun();
    const loggers = run.open(["wandb"]);
    for (const step of [1, 2, 3]) run.step(loggers, step);
    await until(() => run.warnings.length > 0);
    for (const step of [4, 5]) run.step(loggers, step);
    await loggers.close("finished");
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toContain(`logger wandb is off: ${reason}. metrics.jsonl has every step.`);
    expect(run.warnings[0]).toContain("WANDB_API_KEY");
    expect(run.warnings[0]).toContain(join(run.folder, "loggers", "wandb.log"));
  });

  it("that is killed says so once; a resumed run gives it everything again", async () => {
    useNotingPackage();
    const run = new LoggedRun();
    const loggers = run.open(["wandb"]);
    for (const step of [1, 2]) run.step(loggers, step);
    await until(() => told(run).some(({ step }) => step === 2));
    process.kill(told(run)[0].pid, "SIGKILL");
    for (const step of [3, 4]) run.step(loggers, step);
    await until(() => run.warnings.length > 0);
    await loggers.close("stopped");
    expect(run.warnings).toEqual([
      expect.stringMatching(
        /^logger wandb is off: its Python process ended \(SIGKILL\).*metrics\.jsonl has every step/,
      ),
    ]);
    const again = run.open(["wandb"], {}, 4);
    run.step(again, 5);
    await again.close("finished");
    expect(run.warnings).toHaveLength(1);
    const [first, second] = told(run).flatMap(({ init }) => init?.id ?? []);
    expect(second).toBe(first);
    expect(told(run).flatMap(({ step }) => step ?? [])).toEqual([1, 2, 1, 2, 3, 4, 5]);
  });

  it.each(["stop", "endless finish"])("that hangs (%s) is left behind after the limit", async (trouble) => {
    useNotingPackage(trouble);
    const run = new LoggedRun();
    const loggers = run.open(["wandb"], { close_timeout_s: 1 });
    for (const step of [1, 2, 3]) run.step(loggers, step);
    await until(() => told(run).length > 1);
    const { pid } = told(run)[0];
    await loggers.close("finished");
    await until(() => !isAlive(pid));
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toContain("logger wandb is off: it was not done 1 s after the run's end");
  });

  it.each([
    ["no interpreter", "swanlab", "no-such-python", "no-such-python cannot be started: spawn no-such-python ENOENT"],
    ["no package", "swanlab", "/usr/bin/python3", "ModuleNotFoundError: No module named 'swanlab'"],
    ["no package", "wandb", "/usr/bin/python3", "ModuleNotFoundError: No module named 'wandb'"],
  ] as const)("says what to install where there is %s (%s)", async (_, name, python, reason) => {
    const run = new LoggedRun();
    const loggers = run.open([name], { python });
    run.step(loggers, 1);
    await loggers.close("finished");
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toContain(`logger ${name} is off: ${reason}`);
    expect(run.warnings[0]).toContain(`\`pip install ${name}\` for ${python}`);
  });
});
