import { copyFileSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { random } from "../../../bench/campaigns/generated-steps.mjs";
import { FileError } from "../../../src/native/errors.js";
import { FILE_HEADER_BYTES, fileHeader, STEP_TRAILER_BYTES } from "../../../src/report/token-log/frames.js";
import { TokenLogReader } from "../../../src/report/token-log/reader.js";
import { segmentPath } from "../../../src/report/token-log/segment-files.js";
import { logFolder, writeSteps } from "./log-folder.js";

const folder = logFolder();

async function stepsOf(path = folder.path) {
  const reader = await TokenLogReader.open(path);
  return { steps: (await reader.steps()).map(({ step }) => step), notes: reader.notes, reader };
}

/** Where each step of the first segment ends. */
async function ends(): Promise<number[]> {
  const reader = await TokenLogReader.open(folder.path);
  let end = FILE_HEADER_BYTES;
  return (await reader.steps()).map(({ bytes }) => (end += bytes));
}

function change(offset: number): void {
  const file = folder.segments()[0] as string;
  const bytes = readFileSync(file);
  bytes[offset] = (bytes[offset] as number) ^ 0x40;
  writeFileSync(file, bytes);
}

describe("a torn end", () => {
  it("is left out, wherever the log was cut, and said", async () => {
    await writeSteps(folder.path, [1, 2, 3]);
    const file = folder.segments()[0] as string;
    const whole = readFileSync(file);
    const [first = 0, second = 0, third = 0] = await ends();
    expect(third).toBe(whole.length);
    const cuts = [
      third - 1,
      third - STEP_TRAILER_BYTES,
      third - STEP_TRAILER_BYTES - 1,
      second + 1,
      second,
      second - 1,
    ];
    for (const cut of [...cuts, first, first - 20, FILE_HEADER_BYTES, 5, 0]) {
      writeFileSync(file, whole.subarray(0, cut));
      const { steps, notes } = await stepsOf();
      const kept = [first, second, third].filter((end) => end <= cut);
      expect(steps).toEqual(kept.map((_, i) => i + 1));
      const torn = cut - (kept.at(-1) ?? FILE_HEADER_BYTES);
      const note = /^steps-00000001\.ajetlog: the last (\d+) bytes are no whole step/;
      expect(notes.map((text) => Number(note.exec(text)?.[1]))).toEqual(torn > 0 ? [torn] : []);
    }
  });

  it("is cut off when the log is written again", async () => {
    await writeSteps(folder.path, [1, 2, 3]);
    const [, second = 0] = await ends();
    truncateSync(folder.segments()[0] as string, second + 100);
    await writeSteps(folder.path, [3, 4]);
    expect(readFileSync(folder.segments()[0] as string).length).toBe(second);
    expect(await stepsOf()).toMatchObject({ steps: [1, 2, 3, 4], notes: [] });
  });
});

describe("damage", () => {
  it("costs the step whose index it hits, and no other", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4]);
    const [, second = 0] = await ends();
    change(second - STEP_TRAILER_BYTES - 40);
    const { steps, notes } = await stepsOf();
    expect(steps).toEqual([1, 3, 4]);
    expect(notes).toEqual(["steps-00000001.ajetlog: 1 damaged step was left out"]);
  });

  it("costs what stands before it in the segment's middle where it hits the chain, and is said", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4]);
    const [first = 0, second = 0] = await ends();
    change(first + 2); // the mark of a frame: no scan gets past it
    change(second - STEP_TRAILER_BYTES); // no way back either
    const { steps, notes } = await stepsOf();
    expect(steps).toEqual([1, 3, 4]);
    expect(notes).toEqual([`steps-00000001.ajetlog: ${second - first} damaged bytes at ${first} were left out`]);
  });

  it("of an index that no page shows is found when its segment is read: until then its episodes count", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4, 5, 6], { keepSteps: 16 }); // a segment for two steps
    const [, file = ""] = folder.segments();
    const bytes = readFileSync(file);
    bytes[bytes.length - STEP_TRAILER_BYTES - 40] = 0;
    writeFileSync(file, bytes);
    const reader = await TokenLogReader.open(folder.path);
    expect(await reader.list({ limit: 2 })).toMatchObject({ headers: [{ key: "1.0" }, { key: "1.1" }], total: 36 });
    expect(await reader.list({ offset: 35 })).toMatchObject({ headers: [{ key: "6.5" }], total: 36 });
    expect(reader.notes).toEqual([]);
    const { headers, total } = await reader.list({ offset: 12, limit: 7 });
    expect(headers.map(({ key }) => key)).toEqual(["3.0", "3.1", "3.2", "3.3", "3.4", "3.5", "5.0"]);
    expect(total).toBe(30);
    expect(reader.notes).toEqual(["steps-00000003.ajetlog: 1 damaged step was left out"]);
  });

  it("of a trailer is found when episodes are counted", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4], { keepSteps: 16 });
    const [first = 0] = await ends();
    change(first - STEP_TRAILER_BYTES + 16); // the number of its episodes
    const reader = await TokenLogReader.open(folder.path);
    expect((await reader.list({ offset: 100 })).total).toBe(18);
    expect(reader.notes).toEqual([`steps-00000001.ajetlog: ${first - 16} damaged bytes at 16 were left out`]);
  });

  it("is not what a folder has whose `tokens` were meant", async () => {
    await writeSteps(join(folder.path, "tokens"), [1]);
    await expect(TokenLogReader.open(folder.path)).rejects.toThrow(/has no token log: did you mean .*tokens\?/);
  });

  it("of a block is named when an episode in it is read, and no other episode suffers", async () => {
    // Each episode fills a block, or nearly.
    await writeSteps(folder.path, [1], {}, { groups: 1, episodes: 5, turns: 2, prompt: 20, sampled: 2500 });
    change(Math.floor(readFileSync(folder.segments()[0] as string).length / 2));
    const { reader } = await stepsOf();
    const read = await Promise.allSettled([0, 1, 2, 3, 4].map((index) => reader.episode(`1.${index}`)));
    const failed = read.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect([1, 2]).toContain(failed.length);
    for (const error of failed) {
      expect(error).toBeInstanceOf(FileError);
      expect(error.message).toMatch(
        /steps-00000001\.ajetlog is damaged: the \d+ bytes at \d+ are not what was written/,
      );
    }
  });

  it("of any kind never does worse than a FileError: 100 random changes", async () => {
    await writeSteps(folder.path, [1, 2], {}, { groups: 1, episodes: 2, turns: 2, prompt: 6, sampled: 4, observed: 2 });
    const file = folder.segments()[0] as string;
    const whole = readFileSync(file);
    const next = random(7);
    let intact = 0;
    for (let round = 0; round < 100; round++) {
      const bytes = Buffer.from(whole);
      for (let hits = 1 + Math.floor(next() * 3); hits > 0; hits--) {
        bytes[FILE_HEADER_BYTES + Math.floor(next() * (bytes.length - FILE_HEADER_BYTES))] = Math.floor(next() * 256);
      }
      writeFileSync(file, bytes.subarray(0, round % 3 === 0 ? Math.floor(next() * bytes.length) : bytes.length));
      try {
        const reader = await TokenLogReader.open(folder.path);
        const { headers } = await reader.list();
        for (const { key } of headers) {
          await reader.episode(key).then(
            () => intact++,
            (error) => expect(error).toBeInstanceOf(FileError),
          );
        }
      } catch (error) {
        expect(error).toBeInstanceOf(FileError);
      }
    }
    expect(intact).toBeGreaterThan(20);
  });
});

describe("another file", () => {
  it("of another version is refused, and so is writing behind it", async () => {
    await writeSteps(folder.path, [1]);
    const file = folder.segments()[0] as string;
    const bytes = readFileSync(file);
    fileHeader(1).copy(bytes);
    writeFileSync(file, bytes);
    const message = /steps-00000001\.ajetlog is a token log of format 1, and this version of ajet reads format 2/;
    await expect(TokenLogReader.open(folder.path)).rejects.toThrow(message);
    await expect(writeSteps(folder.path, [2])).rejects.toThrow(message);
    expect(readFileSync(file)).toEqual(bytes);
  });

  it("that is no token log is refused", async () => {
    writeFileSync(segmentPath(folder.path, 1), "x".repeat(100));
    await expect(TokenLogReader.open(folder.path)).rejects.toThrow(/steps-00000001\.ajetlog is no token log/);
  });

  it("behind a symbolic link is not read", async () => {
    await writeSteps(folder.path, [1]);
    const [file = ""] = folder.segments();
    copyFileSync(file, `${folder.path}/elsewhere`);
    rmSync(file);
    symlinkSync(`${folder.path}/elsewhere`, file);
    expect((await stepsOf()).steps).toEqual([]);
  });
});
