import { spawn, spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { generatedStep, tokenBytes } from "../../../bench/campaigns/generated-steps.mjs";
import { TokenLogReader } from "../../../src/report/token-log/reader.js";
import type { EpisodeHeader } from "../../../src/report/token-log/types.js";
import { TokenLogWriter } from "../../../src/report/token-log/writer.js";
import { temporaryFolder } from "../../cli/ajet.js";
import { logFolder, SHAPE, writeSteps } from "./log-folder.js";

const folder = logFolder();
const TINY = { groups: 1, episodes: 2, turns: 1, prompt: 6, sampled: 4 };
const stepsOf = async (reader: TokenLogReader) => (await reader.steps()).map(({ step }) => step);

/** Every segment has the texts of its own tokens. */
async function expectTexts(reader: TokenLogReader, key: string): Promise<void> {
  const { calls, vocabulary } = await reader.episode(key);
  const ids = calls.flatMap(({ promptIds, sampledIds }) => [...promptIds, ...sampledIds]);
  expect(ids.length).toBeGreaterThan(0);
  expect(ids.filter((id) => !vocabulary.has(id))).toEqual([]);
}

describe("a log that is being written", () => {
  it("has a step as a whole or not at all, however slowly it comes", async () => {
    await writeSteps(folder.path, [1, 2]);
    const [file = ""] = folder.segments();
    const whole = readFileSync(file);
    const first = 16 + ((await (await TokenLogReader.open(folder.path)).steps())[0]?.bytes ?? 0);
    truncateSync(file, first);
    const reader = await TokenLogReader.open(folder.path);
    const pieces = 9;
    const cut = (piece: number) => first + Math.floor(((whole.length - first) * piece) / pieces);
    for (let piece = 0; piece < pieces; piece++) {
      expect(await reader.refresh()).toBe(false);
      expect(await stepsOf(reader)).toEqual([1]);
      expect(reader.notes).toHaveLength(piece === 0 ? 0 : 1);
      appendFileSync(file, whole.subarray(cut(piece), cut(piece + 1)));
    }
    expect(await reader.refresh()).toBe(true);
    expect(await stepsOf(reader)).toEqual([1, 2]);
    expect(reader.notes).toEqual([]);
    expect((await reader.episode("2.5")).calls).toHaveLength(3);
  });

  it("gives each step once, in order, to who follows it", async () => {
    const writer = await TokenLogWriter.open(folder.path, { lastStep: 0, tokenBytes, keepSteps: 16 });
    writer.append(1, generatedStep(1, SHAPE));
    const reader = await TokenLogReader.open(folder.path);
    const aborted = new AbortController();
    const seen: number[] = [];
    const following = (async () => {
      for await (const headers of reader.follow({ signal: aborted.signal, afterStep: 1, pollMs: 1 })) {
        expect(headers.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
        const { key, step } = headers[0] as EpisodeHeader;
        seen.push(step);
        await reader.episode(key);
      }
    })();
    for (let step = 2; step <= 6; step++) {
      writer.append(step, generatedStep(step, SHAPE));
      while (seen.length < step - 1) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    writer.close();
    aborted.abort();
    await following;
    expect(seen).toEqual([2, 3, 4, 5, 6]);
    expect(folder.segments().length).toBe(3);
  });

  it("gives what is new, where it is followed from now on", async () => {
    const writer = await TokenLogWriter.open(folder.path, { lastStep: 0, tokenBytes });
    writer.append(1, generatedStep(1, TINY));
    const following = (await TokenLogReader.open(folder.path)).follow({ pollMs: 1 });
    let first: number | undefined;
    const next = following.next().then(({ value }) => {
      first = (value as EpisodeHeader[])[0]?.step;
    });
    for (let step = 2; first === undefined; step++) {
      writer.append(step, generatedStep(step, TINY));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await next;
    await following.return(undefined);
    writer.close();
    expect(first).toBeGreaterThan(1);
  });

  it("is seen anew where a resumed run has cut it back and written other steps", async () => {
    await writeSteps(folder.path, [1, 2, 3]);
    const reader = await TokenLogReader.open(folder.path);
    expect(await reader.refresh()).toBe(false);
    await writeSteps(folder.path, [2], { lastStep: 1 }, { ...SHAPE, episodes: 1 });
    expect(await reader.refresh()).toBe(true);
    expect((await reader.steps()).map(({ step, episodes }) => [step, episodes])).toEqual([
      [1, 6],
      [2, 2],
    ]);
    expect((await reader.episode("2.1")).calls).toHaveLength(3);
    await expect(reader.episode("2.2")).rejects.toThrow(/has no episode 2\.2/);
  });

  it("is seen anew where another file has its name and its inode, as after a removal", async () => {
    await writeSteps(folder.path, [1, 2], {}, { ...SHAPE, episodes: 1 });
    const reader = await TokenLogReader.open(folder.path);
    expect(await stepsOf(reader)).toEqual([1, 2]);
    const other = temporaryFolder(true);
    await writeSteps(other, [1, 2, 3]);
    const [file = ""] = folder.segments();
    writeFileSync(file, readFileSync(join(other, basename(file))));
    expect(await reader.refresh()).toBe(true);
    expect((await reader.steps()).map(({ episodes }) => episodes)).toEqual([6, 6, 6]);
    expect((await reader.episode("1.5")).calls).toHaveLength(3);
  });

  it("goes from one step on to who wants to", async () => {
    await writeSteps(folder.path, [1, 2, 3]);
    const reader = await TokenLogReader.open(folder.path);
    const seen: (number | undefined)[] = [];
    for await (const headers of reader.follow({ afterStep: 1 })) {
      seen.push(headers[0]?.step);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([2, 3]);
  });
});

describe("episodes that are only counted", () => {
  it("are counted again when the log is looked at again", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4, 5, 6], { keepSteps: 16 });
    const reader = await TokenLogReader.open(folder.path);
    expect((await reader.list({ limit: 1 })).total).toBe(36);
    await writeSteps(folder.path, [4], { lastStep: 3 }, { ...SHAPE, episodes: 1 });
    expect(await reader.refresh()).toBe(true);
    expect((await reader.list({ limit: 1 })).total).toBe(20);
    expect((await reader.list({ offset: 18 })).headers.map(({ key }) => key)).toEqual(["4.0", "4.1"]);
  });

  it("are none where their segment is gone", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4], { keepSteps: 16 });
    const reader = await TokenLogReader.open(folder.path);
    rmSync(folder.segments()[0] as string);
    expect(await reader.list({ offset: 11 })).toMatchObject({ headers: [{ key: "4.5" }], total: 12 });
  });
});

describe("a writer", () => {
  it("cuts the log back to the checkpoint's step and goes on in a new segment", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4, 5], { keepSteps: 16 });
    expect(folder.segments()).toHaveLength(3);
    await writeSteps(folder.path, [4], { lastStep: 3 });
    const reader = await TokenLogReader.open(folder.path);
    expect(await stepsOf(reader)).toEqual([1, 2, 3, 4]);
    await writeSteps(folder.path, [], { lastStep: 0 });
    expect(folder.segments()).toEqual([]);
  });

  it("keeps at least the steps it is told to, and little more", async () => {
    await writeSteps(
      folder.path,
      Array.from({ length: 50 }, (_, i) => i + 1),
      { keepSteps: 16 },
      TINY,
    );
    const reader = await TokenLogReader.open(folder.path);
    const steps = await stepsOf(reader);
    expect(steps.at(-1)).toBe(50);
    for (const step of steps) await expectTexts(reader, `${step}.0`);
    expect(steps.length).toBeGreaterThanOrEqual(16);
    expect(steps.length).toBeLessThanOrEqual(18);
  });

  it("keeps within the bytes it is told to", async () => {
    const total = () => folder.segments().reduce((sum, file) => sum + statSync(file).size, 0);
    await writeSteps(folder.path, [1], {}, TINY);
    const maxBytes = 24 * total();
    const writer = await TokenLogWriter.open(folder.path, { lastStep: 0, tokenBytes, maxBytes });
    for (let step = 1; step <= 60; step++) {
      writer.append(step, generatedStep(step, TINY));
      expect(total()).toBeLessThanOrEqual(maxBytes);
    }
    const steps = await stepsOf(await TokenLogReader.open(folder.path));
    expect(steps.length).toBeGreaterThan(18);
    expect(steps.at(-1)).toBe(60);
    // A step for which several segments make room.
    const segments = folder.segments().length;
    writer.append(61, generatedStep(61, { ...TINY, groups: 16, prompt: 40 }));
    writer.close();
    expect(segments - folder.segments().length).toBeGreaterThanOrEqual(1);
    expect(total()).toBeLessThanOrEqual(maxBytes);
  });

  it("says where it cannot write", async () => {
    writeFileSync(`${folder.path}/file`, "");
    await expect(writeSteps(`${folder.path}/file/tokens`, [1])).rejects.toThrow(
      /Cannot write the token log .*: ENOTDIR/,
    );
  });

  it("that meets a full disk leaves whole steps, and goes on once there is room", async (context) => {
    const disk = temporaryFolder();
    const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]).status === 0;
    if (!isMounted) return context.skip("needs the right to mount");
    try {
      writeFileSync(join(disk, "ballast"), Buffer.alloc(128 * 2 ** 10));
      const writer = await TokenLogWriter.open(disk, { lastStep: 0, tokenBytes });
      let step = 0;
      const fill = () => {
        for (;;) writer.append(step + 1, generatedStep(++step, SHAPE));
      };
      expect(fill).toThrow(/Cannot write the token log .*: ENOSPC \(the disk is full\)/);
      const reader = await TokenLogReader.open(disk);
      expect(await stepsOf(reader)).toEqual(Array.from({ length: step - 1 }, (_, i) => i + 1));
      expect(reader.notes).toEqual([]);
      rmSync(join(disk, "ballast"));
      writer.append(step, generatedStep(step, SHAPE));
      writer.close();
      await reader.refresh();
      await expectTexts(reader, `${step}.0`);
    } finally {
      spawnSync("umount", [disk]);
    }
  });

  it("that is killed at any moment leaves whole steps, and the next one goes on behind them", async () => {
    const script = `
      const { TokenLogWriter } = await import("ROOT/dist/report/token-log/writer.js");
      const { generatedStep, tokenBytes } = await import("ROOT/bench/campaigns/generated-steps.mjs");
      const writer = await TokenLogWriter.open(process.argv[1], { lastStep: 1e9, tokenBytes, keepSteps: 0 });
      const groups = generatedStep(1, { groups: 2, episodes: 8, turns: 3, prompt: 400, sampled: 200 });
      for (let step = Number(process.argv[2]); ; step++) {
        writer.append(step, groups);
        process.stdout.write(step + "\\n");
      }`.replaceAll("ROOT", new URL("../../..", import.meta.url).href.replace(/\/$/, ""));
    let last = 0;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder.path, String(last + 1)]);
      const errors: string[] = [];
      child.stderr.setEncoding("utf8").on("data", (text) => errors.push(text));
      let told = last;
      await new Promise<void>((resolve) => {
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
          told = Number(text.trim().split("\n").at(-1));
          // Somewhere within the steps after this one.
          if (told >= last + 2) setTimeout(() => child.kill("SIGKILL"), round * 7);
        });
        child.once("close", () => resolve());
      });
      expect(errors.join("")).toBe("");
      const steps = await stepsOf(await TokenLogReader.open(folder.path));
      expect(steps).toEqual(Array.from({ length: steps.length }, (_, i) => i + 1));
      expect(steps.length).toBeGreaterThanOrEqual(told);
      last = steps.length;
    }
    const reader = await TokenLogReader.open(folder.path);
    expect((await reader.episode(`${last}.15`)).calls).toHaveLength(3);
  });
});
