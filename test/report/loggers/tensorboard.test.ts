import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/report/loggers/tensorboard/crc32c.js";
import { temporaryFolder } from "../../cli/ajet.js";
import { expectedSeries } from "./lines.js";
import { LoggedRun } from "./run.js";
import { decodeFile, decodeSeries } from "./tf-events.js";

/** Series as float32, which event files hold. */
function asFloats(series: Record<string, [number, number][]>) {
  return Object.fromEntries(
    Object.entries(series).map(([name, points]) => [name, points.map(([step, value]) => [step, Math.fround(value)])]),
  );
}

function eventFilesOf(run: LoggedRun): string[] {
  const folder = join(run.folder, "tensorboard");
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}

async function logged(run: LoggedRun, steps: number): Promise<void> {
  const loggers = run.open(["tensorboard"]);
  run.evaluation(loggers, 0);
  for (let step = 1; step <= steps; step++) run.step(loggers, step);
  run.evaluation(loggers, steps);
  await loggers.close("finished");
}

/** Ends while the evaluation of its last step was not reached. */
async function interrupted(run: LoggedRun, steps: number): Promise<void> {
  const loggers = run.open(["tensorboard"]);
  run.evaluation(loggers, 0);
  for (let step = 1; step <= steps; step++) run.step(loggers, step);
  await loggers.close("stopped");
}

/** Ends after step 5, goes on from step 3 and ends with step 6. */
async function interruptedAndResumed(run: LoggedRun): Promise<void> {
  await interrupted(run, 5);
  run.cutBack(3);
  const loggers = run.open(["tensorboard"], {}, 3);
  for (const step of [4, 5, 6]) run.step(loggers, step);
  run.evaluation(loggers, 6);
  await loggers.close("finished");
}

describe("crc32c", () => {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  it.each([
    ["32 bytes of zeros", Buffer.alloc(32), 0x8a9136aa],
    ["32 bytes of ones", Buffer.alloc(32, 0xff), 0x62a8ab43],
    ["32 incrementing bytes", Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
    ["32 decrementing bytes", Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
    ["123456789", Buffer.from("123456789"), 0xe3069283],
    ["nothing", Buffer.alloc(0), 0],
  ])("has the standard's value for %s", (_, bytes, value) => {
    expect(crc32c(bytes)).toBe(value);
  });
});

describe("tensorboard", () => {
  it("writes each metric of each step once, and the configuration without its secrets", async () => {
    const run = new LoggedRun();
    await logged(run, 3);
    expect(run.warnings).toEqual([]);
    expect(run.notes).toEqual([`tensorboard: tensorboard --logdir ${join(run.folder, "tensorboard")}`]);
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual(asFloats(expectedSeries(3, [0, 3])));
    const [file] = eventFilesOf(run);
    const events = decodeFile(file as string);
    expect(events[0]?.version).toBe("brain.Event:2");
    expect(events.flatMap(({ tensors }) => tensors)).toEqual([
      "configuration/text_summary",
      "_hparams_/session_start_info",
    ]);
    const now = Date.now() / 1000;
    for (const { wallTime } of events) expect(now - wallTime).toBeLessThan(60);
    const content = readFileSync(file as string, "latin1");
    expect(content).toContain("trainer_common.optim.lr");
    expect(content).not.toContain("sk-1");
  });

  it("cuts a resumed run back to its checkpoint, tells readers so, and goes on in a new file", async () => {
    const run = new LoggedRun();
    await interruptedAndResumed(run);
    expect(run.warnings).toEqual([]);
    const files = eventFilesOf(run);
    expect(files).toHaveLength(2);
    expect(Math.max(...decodeFile(files[0] as string).map(({ step }) => step))).toBe(3);
    const [version, restart] = decodeFile(files[1] as string);
    expect(version?.version).toBe("brain.Event:2");
    expect(restart).toMatchObject({ isRestart: true, step: 4 });
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual(asFloats(expectedSeries(6, [0, 6])));
  });

  it("does not repeat the evaluation of a finished run that is resumed", async () => {
    const run = new LoggedRun();
    await logged(run, 2);
    const loggers = run.open(["tensorboard"], {}, 2);
    run.evaluation(loggers, 2);
    await loggers.close("finished");
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual(asFloats(expectedSeries(2, [0, 2])));
  });

  it.each([
    ["torn", (content: Buffer) => content.subarray(0, -5)],
    ["damaged", (content: Buffer) => Buffer.concat([content.subarray(0, -20), Buffer.alloc(20)])],
  ])("takes what a %s record lost from metrics.jsonl", async (_, damage) => {
    const run = new LoggedRun();
    await interrupted(run, 4);
    const [file] = eventFilesOf(run);
    writeFileSync(file as string, damage(readFileSync(file as string)));
    const loggers = run.open(["tensorboard"], {}, 4);
    run.step(loggers, 5);
    run.evaluation(loggers, 5);
    await loggers.close("finished");
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual(asFloats(expectedSeries(5, [0, 5])));
  });

  it("gets the steps before it was asked for, too", async () => {
    const run = new LoggedRun();
    const none = run.open([]);
    for (const step of [1, 2]) run.step(none, step);
    appendFileSync(run.metricsFile, ""); // the run is killed here
    const loggers = run.open(["tensorboard"], {}, 2);
    run.step(loggers, 3);
    await loggers.close("finished");
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual(asFloats(expectedSeries(3, [])));
  });

  it("leaves out what is no finite number", async () => {
    const run = new LoggedRun();
    const loggers = run.open(["tensorboard"]);
    loggers.log("step", { step: 1, "training/global_step": 1, a: Number.NaN, b: Number.POSITIVE_INFINITY, c: null });
    await loggers.close("finished");
    expect(decodeSeries(join(run.folder, "tensorboard"))).toEqual({ "training/global_step": [[1, 1]] });
  });

  it("writes below the folder of the configuration, where there is one", async () => {
    const run = new LoggedRun();
    const dir = join(run.folder, "all runs");
    const loggers = run.open(["tensorboard"], { tensorboard: { dir } });
    run.step(loggers, 1);
    await loggers.close("finished");
    expect(decodeSeries(join(dir, "a run"))).toEqual(asFloats(expectedSeries(1, [])));
  });

  it("says once where it cannot write, and the run goes on", async () => {
    const run = new LoggedRun();
    const dir = join(run.folder, "file");
    mkdirSync(dir);
    writeFileSync(join(dir, "a run"), "");
    const loggers = run.open(["tensorboard"], { tensorboard: { dir } });
    for (const step of [1, 2, 3]) run.step(loggers, step);
    await loggers.close("finished");
    expect(run.notes).toEqual([]);
    expect(run.warnings).toHaveLength(1);
    expect(run.warnings[0]).toMatch(
      /^logger tensorboard is off: EEXIST.*metrics\.jsonl has every step.*tensorboard\.dir/,
    );
  });

  it("says once that the disk is full, and the run goes on (needs the right to mount)", async (context) => {
    const disk = temporaryFolder();
    const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).status === 0;
    if (!isMounted) return context.skip("needs the right to mount");
    try {
      const run = new LoggedRun();
      const loggers = run.open(["tensorboard"], { tensorboard: { dir: disk } });
      let step = 0;
      for (; run.warnings.length === 0; await new Promise((resolve) => setTimeout(resolve, 1)))
        run.step(loggers, ++step);
      for (const last = step + 3; step < last; ) run.step(loggers, ++step);
      await loggers.close("finished");
      expect(run.warnings).toEqual([
        expect.stringMatching(/^logger tensorboard is off: ENOSPC.*metrics\.jsonl has every step\. Free space/),
      ]);
      // What fitted is whole; with room again, a resumed run gets the rest.
      const more = run.open(["tensorboard"], {}, step);
      await more.close("finished");
      const series = decodeSeries(join(run.folder, "tensorboard"));
      expect(series).toEqual(asFloats(expectedSeries(step, [])));
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});
