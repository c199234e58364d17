import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generatedStep, tokenBytes, tokenText } from "../../../bench/campaigns/generated-steps.mjs";
import { TokenLogReader } from "../../../src/report/token-log/reader.js";
import type { EpisodeHeader, LoggedCall } from "../../../src/report/token-log/types.js";
import { TokenLogWriter } from "../../../src/report/token-log/writer.js";
import type { CallToWrite, EpisodeToWrite } from "../../../src/report/token-log/written.js";
import { logFolder, SHAPE, writeSteps } from "./log-folder.js";

const folder = logFolder();

/** What a call must read as. */
function expectCall(call: LoggedCall, written: CallToWrite): void {
  const { node, entropies, inLoss, ...rest } = call;
  const { entropies: writtenEntropies, inLoss: isInLoss, ...writtenRest } = written;
  expect(rest).toEqual(writtenRest);
  expect([...inLoss]).toEqual(Array.from(written.sampledIds, () => Number(isInLoss)));
  for (const [i, entropy] of entropies.entries()) {
    expect(Math.abs(entropy - (writtenEntropies[i] as number))).toBeLessThanOrEqual(1 / 8192 + 1e-6);
  }
  expect(node).toBeGreaterThanOrEqual(0);
}

async function writeEpisode(change: (episode: EpisodeToWrite) => EpisodeToWrite): Promise<EpisodeToWrite> {
  const [group] = generatedStep(1, { ...SHAPE, groups: 1, episodes: 1 });
  const episode = change(group?.episodes[0] as EpisodeToWrite);
  const writer = await TokenLogWriter.open(folder.path, { lastStep: 0, tokenBytes });
  writer.append(1, [{ taskId: "a task", episodes: [episode] }]);
  writer.close();
  return episode;
}

describe("a token log", () => {
  it("gives back what was written: headers, and episodes in any order", async () => {
    await writeSteps(folder.path, [1, 2, 5]);
    await using reader = await TokenLogReader.open(folder.path);
    const { headers, total } = await reader.list();
    expect(total).toBe(18);
    expect(headers.map(({ key }) => key)).toEqual(
      [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5].map((index) => `${step}.${index}`)),
    );
    expect((await reader.steps()).map(({ bytes: _, ...step }) => step)).toEqual(
      [1, 2, 5].map((step) => ({ step, episodes: 6, groups: 2 })),
    );
    for (const header of [...headers].reverse()) {
      const group = generatedStep(header.step, SHAPE)[header.group];
      const written = group?.episodes[header.sample] as EpisodeToWrite;
      const { calls, toolCalls, vocabulary, ...episode } = await reader.episode(header.key);
      const { header: writtenHeader, calls: writtenCalls, ...rest } = written;
      expect(episode).toEqual({ ...rest, header });
      expect(header).toMatchObject({
        ...writtenHeader,
        taskId: group?.taskId,
        calls: 3,
        callsTrained: 3,
        toolCalls: 2,
      });
      expect(header.length).toBe(Math.max(...calls.map((call) => call.promptIds.length + call.sampledIds.length)));
      expect([header.sampledTokens, header.lossTokens]).toEqual([24, 24]);
      expect(calls.length).toBe(writtenCalls.length);
      for (const [i, call] of calls.entries()) expectCall(call, writtenCalls[i] as CallToWrite);
      expect(toolCalls.map(({ call, isError, ms }) => ({ call, isError, ms }))).toEqual([
        { call: 0, isError: false, ms: 20 },
        { call: 1, isError: false, ms: 20 },
      ]);
      const ids = calls.at(-1)?.sampledIds as Int32Array;
      expect(vocabulary.texts(ids)).toEqual(Array.from(ids, tokenText));
    }
  });

  it("holds a group's common beginnings once, and leads from a call to its place", async () => {
    await writeSteps(folder.path, [1]);
    const reader = await TokenLogReader.open(folder.path);
    const { nodes, taskId, vocabulary } = await reader.tree(1, 1);
    expect(taskId).toBe("task-3");
    expect(nodes.filter(({ parent }) => parent < 0).map(({ samples }) => samples)).toEqual([[0, 1, 2]]);
    const tokens = nodes.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(tokens).toBeLessThanOrEqual(20 + 3 * (3 * 8 + 2 * 4));
    expect(vocabulary.text(nodes[0]?.ids as Int32Array)).toMatch(/^( \w+)+$/);
    const { calls } = await reader.episode("1.4");
    for (const { node, promptIds, sampledIds } of calls) {
      const last = nodes[node];
      expect(last?.samples).toContain(1);
      expect((last?.start ?? 0) + (last?.ids.length ?? 0)).toBe(promptIds.length + sampledIds.length);
    }
  });

  it("keeps what is not known apart from what is 0, and dropped episodes", async () => {
    const failure = { kind: "timeout" as const, message: "The episode took longer than 5 s" };
    const written = await writeEpisode(({ header, calls, ...rest }) => ({
      ...rest,
      header: { ...header, reward: null, advantage: null, dropped: "timeout", attempts: 3, tag: "failure" },
      failure,
      retried: [{ ...failure, stack: "at a line" }],
      calls: calls.map((call, i) => ({
        ...call,
        verdict: { fate: "dropped", reason: "episode_timeout" },
        inLoss: false,
        advantage: null,
        entropies: i === 0 ? Float32Array.from(call.sampledIds, () => 0) : new Float32Array(0),
        startMs: undefined,
        endMs: undefined,
      })),
    }));
    const reader = await TokenLogReader.open(folder.path);
    const { header, calls, toolCalls, ...episode } = await reader.episode("1.0");
    expect(header).toMatchObject({ reward: null, advantage: null, dropped: "timeout", callsTrained: 0, lossTokens: 0 });
    expect(episode).toMatchObject({ failure, retried: written.retried });
    expect([...(calls[0]?.entropies ?? [])]).toEqual(Array(8).fill(0));
    expect([...(calls[1]?.entropies ?? [])]).toEqual(Array(8).fill(Number.NaN));
    expect(calls.map(({ advantage }) => advantage)).toEqual([null, null, null]);
    expect(toolCalls.map(({ ms }) => ms)).toEqual([undefined, undefined]);
  });

  it("survives metadata that JSON cannot hold, and hostile texts", async () => {
    const loop: Record<string, unknown> = { text: '</script><img src=x onerror="1">\u0000\ud800' };
    loop["self"] = loop;
    loop["twice"] = [{ a: 1 }, { a: 1 }];
    await writeEpisode((episode) => ({ ...episode, metadata: { big: 10n ** 20n, loop, at: new Date(0) } }));
    const { metadata } = await (await TokenLogReader.open(folder.path)).episode("1.0");
    expect(metadata).toEqual({
      big: "100000000000000000000",
      loop: { text: '</script><img src=x onerror="1">\u0000\ud800', self: "[circular]", twice: [{ a: 1 }, { a: 1 }] },
      at: "1970-01-01T00:00:00.000Z",
    });
  });

  it("shows characters that several tokens make with the last of them", async () => {
    const pieces = [
      Buffer.from("a"),
      Buffer.from("é").subarray(0, 1),
      Buffer.from("é").subarray(1),
      Buffer.from([0xff]),
    ];
    const writer = await TokenLogWriter.open(folder.path, {
      lastStep: 0,
      tokenBytes: (id) => pieces[id] ?? new Uint8Array(0),
    });
    const [group] = generatedStep(1, { ...SHAPE, groups: 1, episodes: 1, turns: 1 });
    const episode = group?.episodes[0] as EpisodeToWrite;
    const call = {
      ...(episode.calls[0] as CallToWrite),
      promptIds: Int32Array.of(0, 1, 2),
      sampledIds: Int32Array.of(3, 3, 0, 1),
    };
    const known = new Float32Array(4);
    writer.append(1, [
      { taskId: "t", episodes: [{ ...episode, calls: [{ ...call, logprobs: known, entropies: known }] }] },
    ]);
    writer.close();
    const { calls, vocabulary } = await (await TokenLogReader.open(folder.path)).episode("1.0");
    const { promptIds, sampledIds } = calls[0] as LoggedCall;
    expect(vocabulary.texts(promptIds)).toEqual(["a", "", "é"]);
    expect(vocabulary.texts(sampledIds)).toEqual(["\ufffd", "\ufffd", "a", "\ufffd"]);
    expect(vocabulary.text(Int32Array.of(77))).toBe("");
    expect(vocabulary.size).toBe(4);
  });

  it("is smaller than a third of the same as JSON", async () => {
    const shape = { groups: 1, episodes: 8, turns: 4, prompt: 300, sampled: 60, observed: 30 };
    await writeSteps(folder.path, [1], {}, shape);
    const json = JSON.stringify(generatedStep(1, shape), (_, value) =>
      ArrayBuffer.isView(value) ? Array.from(value as Float32Array, (x) => Number(x.toPrecision(5))) : value,
    );
    expect(readFileSync(folder.segments()[0] as string).length).toBeLessThan(json.length / 3);
  });
});

describe("list", () => {
  const keys = (headers: readonly EpisodeHeader[]) => headers.map(({ key }) => key);

  it("pages, filters and sorts", async () => {
    await writeSteps(folder.path, [1, 2, 3, 4], { keepSteps: 8 }); // a segment a step
    const reader = await TokenLogReader.open(folder.path);
    const all = (await reader.list({ limit: 1000 })).headers;
    const expected = (condition: (header: EpisodeHeader) => boolean) => keys(all.filter(condition));
    expect(keys((await reader.list({ offset: 5, limit: 4 })).headers)).toEqual(keys(all).slice(5, 9));
    expect(await reader.list({ offset: 24 })).toEqual({ headers: [], total: 24 });
    const check = async (query: Parameters<typeof reader.list>[0], condition: (header: EpisodeHeader) => boolean) => {
      const { headers, total } = await reader.list({ limit: 1000, ...query });
      expect(keys(headers)).toEqual(expected(condition));
      expect(total).toBe(headers.length);
    };
    await check({ step: 3 }, ({ step }) => step === 3);
    await check({ step: { from: 2, to: 3 } }, ({ step }) => step === 2 || step === 3);
    await check({ step: 9 }, () => false);
    await check({ group: 1, sample: 2 }, ({ group, sample }) => group === 1 && sample === 2);
    await check({ taskId: "task-5" }, ({ taskId }) => taskId === "task-5");
    await check({ minReward: 0.5, maxReward: 1 }, ({ reward }) => reward === 1);
    await check({ success: false }, ({ success }) => !success);
    await check({ dropped: true }, () => false);
    await check({ marks: ["no_print"] }, ({ marks }) => marks.includes("no_print"));
    await check({ where: ({ length }) => length % 2 === 0 }, ({ length }) => length % 2 === 0);
    const sorted = await reader.list({ sortBy: "reward", descending: true, limit: 1000 });
    expect(keys(sorted.headers)).toEqual([
      ...expected(({ reward }) => reward === 1),
      ...expected(({ reward }) => reward === 0),
    ]);
    expect(keys((await reader.list({ sortBy: "reward", limit: 2, offset: 1 })).headers)).toEqual(
      expected(({ reward }) => reward === 0).slice(1, 3),
    );
  });

  it("puts episodes without a reward last, whichever way it sorts, and into no range of rewards", async () => {
    await writeEpisode((episode) => ({ ...episode, header: { ...episode.header, reward: null, dropped: "judge" } }));
    await writeSteps(folder.path, [2], {}, { ...SHAPE, groups: 1 });
    const reader = await TokenLogReader.open(folder.path);
    expect((await reader.list({ sortBy: "reward" })).headers.at(-1)?.key).toBe("1.0");
    expect((await reader.list({ sortBy: "reward", descending: true })).headers.at(-1)?.key).toBe("1.0");
    expect(keys((await reader.list({ minReward: -9, maxReward: 9 })).headers)).toEqual(["2.0", "2.1", "2.2"]);
    expect(keys((await reader.list({ dropped: true })).headers)).toEqual(["1.0"]);
  });
});

describe("what is not there", () => {
  it.each([
    ["no key", "7", /Expected <step>\.<index> as an episode's key but received "7"/],
    ["a path", "../../etc.0", /Expected <step>/],
    ["no such step", "9.0", /has no episode 9\.0/],
    ["no such episode", "1.6", /has no episode 1\.6/],
  ])("is named: %s", async (_, key, message) => {
    await writeSteps(folder.path, [1]);
    const reader = await TokenLogReader.open(folder.path);
    await expect(reader.episode(key)).rejects.toThrow(message);
    await expect(reader.header(key)).rejects.toThrow(message);
  });

  it("is named: a group, a step, a folder", async () => {
    await writeSteps(folder.path, [1]);
    const reader = await TokenLogReader.open(folder.path);
    await expect(reader.tree(1, 2)).rejects.toThrow(/Step 1 of .* has no group 2/);
    await expect(reader.tree(2, 0)).rejects.toThrow(/has no step 2/);
    await expect(TokenLogReader.open(`${folder.path}/none`)).rejects.toThrow(
      /Cannot read the token log .*none: ENOENT/,
    );
  });

  it("is no part of it: other files, and an empty folder is an empty log", async () => {
    writeFileSync(`${folder.path}/step_1.jsonl`, "{}\n");
    const reader = await TokenLogReader.open(folder.path);
    expect(await reader.list()).toEqual({ headers: [], total: 0 });
    expect(await reader.steps()).toEqual([]);
  });
});
