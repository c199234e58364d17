import { readFileSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { changedValue, type StepChange, withChangedStep } from "../../../bench/campaigns/changed-steps.mjs";
import { random } from "../../../bench/campaigns/generated-steps.mjs";
import { FileError } from "../../../src/native/errors.js";
import * as frames from "../../../src/report/token-log/frames.js";
import { TokenLogReader } from "../../../src/report/token-log/reader.js";
import * as record from "../../../src/report/token-log/record.js";
import { logFolder, writeSteps } from "./log-folder.js";

const folder = logFolder();

async function stepsOf() {
  const reader = await TokenLogReader.open(folder.path);
  return { steps: (await reader.steps()).map(({ step }) => step), notes: reader.notes, reader };
}

/** A copy of a JSON value with another value at a dotted path; undefined takes it out. */
function withValue(json: object, path: string, value: unknown): object {
  const copy = structuredClone(json);
  const names = path.split(".");
  const last = names.pop() as string;
  const holder = names.reduce((inner, name) => inner[name] as Record<string, unknown>, copy as Record<string, unknown>);
  holder[last] = value;
  return copy;
}

describe("a log that says something wrong under right checksums", () => {
  const ONE_GROUP = { groups: 1, episodes: 2, turns: 2, prompt: 6, sampled: 4, observed: 2 };
  let file = "";
  let whole: Buffer;
  const write = (change: StepChange) => writeFileSync(file, withChangedStep(whole, { ...frames, ...record }, change));
  beforeEach(async () => {
    await writeSteps(folder.path, [1], {}, ONE_GROUP);
    file = folder.segments()[0] as string;
    whole = readFileSync(file);
  });

  it("is the log that was written where nothing in it is changed", () => {
    write({});
    expect(readFileSync(file)).toEqual(whole);
  });

  it.each([
    ["a block behind the step's end", "blocks.bytes.0", 1e6],
    ["a block before the step", "blocks.at.0", -16],
    ["a block of a fraction of bytes", "blocks.bytes.0", 50.5],
    ["an episode in a block that is not there", "episodes.block.1", 1],
    ["an episode of a group that is not there", "episodes.group.1", 1],
    ["a group in a block that is not there", "groups.block.0", 1],
    ["a column that is too short", "episodes.reward.length", 1],
    ["a column that is missing", "episodes.tag", undefined],
    ["a column that is no list", "episodes.calls", "xx"],
    ["a text in place of a number", "episodes.length.0", "6"],
    ["no tokens", "tokens", undefined],
    ["a step that is no number", "step", "1"],
  ])("loses the step whose index names %s", async (_, path, value) => {
    write({ index: (json) => withValue(json, path, value) });
    const notes = ["steps-00000001.ajetlog: 1 damaged step was left out"];
    expect(await stepsOf()).toMatchObject({ steps: [], notes });
  });

  it("loses the step whose index has fewer episodes than its trailer says", async () => {
    const withoutFirst = (columns: object) =>
      Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, (values as number[]).slice(1)]));
    write({ index: (json) => ({ ...json, episodes: withoutFirst((json as { episodes: object }).episodes) }) });
    const notes = ["steps-00000001.ajetlog: 1 damaged step was left out"];
    expect(await stepsOf()).toMatchObject({ steps: [], notes });
  });

  it.each([
    ["a node that is its own parent", 0, "nodes.parent.0", 0],
    ["a node whose parent comes later", 0, "nodes.parent.1", 2],
    ["a node of more tokens than there are", 0, "nodes.length.0", 1e9],
    ["no nodes", 0, "nodes", undefined],
    ["a call of more tokens than its path", 1, "episode.calls.0.sampled", 100],
    ["a call of a huge prompt", 1, "episode.calls.0.prompt", 2 ** 32],
    ["a call at a node that is not there", 1, "episode.calls.0.node", 99],
    ["no calls", 1, "episode.calls", undefined],
  ])("names the record that has %s", async (_, index, path, value) => {
    write({ record: (json, i) => (i === index ? withValue(json, path, value) : json) });
    const { reader } = await stepsOf();
    await expect(reader.episode("1.0")).rejects.toThrow(/steps-00000001\.ajetlog is damaged: /);
    // A group's record is part of all its episodes.
    if (index === 0) await expect(reader.tree(1, 0)).rejects.toThrow(FileError);
    else expect((await reader.episode("1.1")).calls).toHaveLength(2);
  });

  it("never does worse than a FileError: 200 random changes", async () => {
    const next = random(11);
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const target = Math.floor(next() * 4); // the index, the group or one of its episodes
      write({
        index: (json) => (target === 3 ? changedValue(json, next) : json),
        record: (json, i) => (target === i ? changedValue(json, next) : json),
      });
      const { reader, steps } = await stepsOf();
      if (steps.length === 0) refused++;
      for (const key of steps.length === 0 ? [] : [`${steps[0]}.0`, `${steps[0]}.1`]) {
        await reader.episode(key).catch((error) => {
          refused++;
          expect(error).toBeInstanceOf(FileError);
        });
      }
    }
    expect(refused).toBeGreaterThan(60);
  });
});
