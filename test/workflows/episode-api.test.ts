import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EpisodeApiError, EpisodeClient, type RemoteEpisode } from "../../src/remote/episode-client.js";
import { selectCalls } from "../../src/rollout/audit.js";
import type { EpisodeResult } from "../../src/rollout/episode.js";
import type { EpisodeRunnerOptions } from "../../src/rollout/episode-runner.js";
import { startServer } from "../../src/serve/server.js";
import { heldOut, ROOT, TinyStage } from "./tiny-stage.js";

const KEY = "sk-ajet-run-test";
const TASKS = heldOut(3);
const TRAIN = { mode: "train", step: 1, temperature: 1 } as const;

let stage: TinyStage;
let client: EpisodeClient;
beforeAll(async () => {
  stage = await TinyStage.open({ episodeApiKey: KEY });
  client = new EpisodeClient({ baseUrl: stage.server.baseUrl, apiKey: KEY });
});
afterAll(() => stage?.[Symbol.asyncDispose]());

interface Setup {
  runner?: Partial<EpisodeRunnerOptions>;
  judge?: string;
  tasks?: number;
  args?: Record<string, unknown>;
}

/** Episodes of the shipped workflow, as a run would start them. */
function offer({ runner = {}, judge, tasks = 1, args }: Setup = {}): Promise<EpisodeResult[]> {
  const workflow = { workflow: "ajet->ExternalAgent", ...(judge ? { judge } : {}), ...(args ? { args } : {}) };
  return stage.play({ ...workflow, runner: { agentWaitMs: 30_000, ...runner } }, TASKS.slice(0, tasks), TRAIN);
}

async function begin(options: { timeoutS?: number } = {}): Promise<RemoteEpisode> {
  for (let i = 0; i < 4; i++) {
    const episode = await client.begin({ waitS: 30, ...options });
    if (episode !== undefined) return episode;
  }
  throw new Error("No episode came");
}

/** Asks for an episode on a connection of its own and closes it at once: the end arrives with the question. */
async function askAndLeave(): Promise<void> {
  const { hostname, port, host } = new URL(stage.server.baseUrl);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  const head = `POST /v1/episodes/begin HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${KEY}\r\n`;
  socket.write(`${head}content-type: application/json\r\ncontent-length: 2\r\n\r\n{}`);
  socket.destroy();
  await once(socket, "close");
}

/** A chat request by plain fetch. */
function chat({ baseUrl, apiKey }: RemoteEpisode, more: object = {}): Promise<Response> {
  return fetch(`${baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "any", messages: [{ role: "user", content: "Hi" }], max_tokens: 6, ...more }),
  });
}

describe("an agent elsewhere", () => {
  it("gets an episode, calls the model in parallel, streaming or not, and ends it with a reward", async () => {
    const running = offer();
    const episode = await begin();
    expect(episode).toMatchObject({ sample: 0, step: 1, mode: "train", baseUrl: stage.server.baseUrl, model: "ajet" });
    expect(episode.task).toMatchObject({ taskId: "0", mainQuery: TASKS[0]?.mainQuery, metadata: {} });
    const replies = await Promise.all([chat(episode), chat(episode, { stream: true }), chat(episode, { seed: 4 })]);
    const texts = await Promise.all(replies.map((reply) => reply.text()));
    expect(texts[1]).toContain("data: [DONE]");
    await client.end(episode, { reward: 0.5, isSuccess: true, metadata: { note: "x" }, logMetrics: { turns: 3 } });
    const [result] = await running;
    expect(result).toMatchObject({ reward: 0.5, isSuccess: true, metadata: { note: "x" }, logMetrics: { turns: 3 } });
    expect(selectCalls(result ? [result] : [], stage.model.version).trainable).toHaveLength(3);
    expect(result?.calls.every(({ sampledIds, logprobs }) => sampledIds.length === logprobs.length)).toBe(true);
    // Its key has ended with it.
    expect((await chat(episode)).status).toBe(401);
    await expect(client.end(episode, { reward: 1 })).rejects.toMatchObject({ status: 401 });
  });

  it("leaves the reward to the judge, by what it says in the metadata", async () => {
    const running = offer({ judge: "ajet->MathAnswerAsJudge" });
    const episode = await begin();
    await client.end(episode, { metadata: { final_answer: "\\boxed{-123456}" } });
    expect((await running)[0]).toMatchObject({ reward: 0, reason: expect.stringContaining("-123456") });
  });

  it("is shown the task's metadata where the run wants it to be", async () => {
    const running = offer({ args: { share_metadata: true } });
    const episode = await begin();
    expect(episode.task.metadata).toEqual(TASKS[0]?.metadata);
    await client.end(episode, { reward: 1 });
    await running;
  });

  it("may abort: the episode is run again, and dropped after the last attempt", async () => {
    const running = offer({ runner: { maxAttempts: 2 } });
    const first = await begin();
    await (await chat(first)).text();
    await client.abort(first, "my browser crashed");
    const second = await begin();
    expect(second.episodeId).not.toBe(first.episodeId);
    await client.abort(second, "again");
    const [result] = await running;
    expect(result?.error?.message).toContain("The agent aborted the episode: again");
    expect(result?.retried.map(({ message }) => message).join()).toContain("my browser crashed");
    expect(result?.droppedCalls.map(({ reason }) => reason)).toEqual(["episode_failed"]);
  });

  it("is given up when it takes longer than it said, or than the run allows", async () => {
    const asked = offer();
    const [slow] = await Promise.all([begin({ timeoutS: 0.2 })]);
    expect(slow.timeoutS).toBe(0.2);
    expect((await asked)[0]?.error?.message).toMatch(/did not end the episode within the 0.2 s/);
    const allowed = offer({ runner: { timeoutMs: 2500 } });
    await begin();
    expect((await allowed)[0]?.error).toMatchObject({ kind: "timeout", message: expect.stringContaining("2.5 s") });
  });

  it("is waited for only so long; the episode's own time starts when it is taken", async () => {
    const alone = offer({ runner: { agentWaitMs: 300 } });
    expect((await alone)[0]?.error?.message).toContain(
      "Waiting for an agent to take the episode ran longer than 0.3 s",
    );
    const late = offer({ runner: { timeoutMs: 4000, agentWaitMs: 30_000 } });
    await new Promise((resolve) => setTimeout(resolve, 4500));
    const episode = await begin();
    await client.end(episode, { reward: 1 });
    expect((await late)[0]).toMatchObject({ reward: 1 });
  });

  it("gets nothing when there is nothing", async () => {
    expect(await client.begin({ waitS: 0 })).toBeUndefined();
  });

  it("plays all episodes of a run, several at a time", async () => {
    const stop = new AbortController();
    const playing = client.run(
      async (episode) => {
        await (await chat(episode)).text();
        return { reward: episode.task.taskId === "1" ? 1 : 0 };
      },
      { parallel: 2, signal: stop.signal },
    );
    const results = await offer({ tasks: 3 });
    stop.abort();
    expect(results.map(({ reward }) => reward)).toEqual([0, 1, 0]);
    expect(await playing).toBe(3);
  });

  it("is passed over if it had left when the episode was handed to it", async () => {
    const running = offer();
    // Many: the first of them are there before the episode is.
    for (let i = 0; i < 1000; i++) await askAndLeave();
    const episode = await begin();
    await client.end(episode, { reward: 1 });
    expect((await running)[0]?.reward).toBe(1);
  });

  it.each([
    ["end", { reward: "1" }, "reward"],
    ["end", { is_success: 1 }, "is_success"],
    ["end", { metadata: [] }, "metadata"],
    ["end", { log_metrics: { turns: "3" } }, "log_metrics.turns"],
    ["end", { rewards: 1 }, "rewards"],
    ["abort", { reason: 5 }, "reason"],
  ])("is told what is wrong with %s %j", async (what, body, param) => {
    const running = offer();
    const episode = await begin();
    const response = await fetch(`${episode.baseUrl}/episodes/${what}`, {
      method: "POST",
      headers: { authorization: `Bearer ${episode.apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { param } });
    await client.end(episode, { reward: 1 });
    expect((await running)[0]?.reward).toBe(1);
  });

  it("is told that nobody answers, unless a run has and is over", async () => {
    const server = await startServer({ ...stage.text, episodeApiKey: KEY });
    const access = { baseUrl: server.baseUrl, apiKey: KEY };
    const agent = async () => ({ reward: 1 });
    const known = new EpisodeClient(access);
    expect(await known.begin({ waitS: 0 })).toBeUndefined();
    const waiting = known.run(agent, { waitS: 0 });
    await server.stop();
    expect(await waiting).toBe(0);
    expect(await known.run(agent)).toBe(0);
    const unknown = new EpisodeClient(access);
    const refused = { code: "ERR_AJET_EPISODE_API", status: 0 };
    const message = `No answer from ${server.baseUrl}/episodes/begin: ECONNREFUSED`;
    await expect(unknown.run(agent)).rejects.toMatchObject({ ...refused, message });
    await expect(unknown.begin()).rejects.toMatchObject({ ...refused, message });
  });

  it("needs the run's key to begin, and an episode's own to end it", async () => {
    const stranger = new EpisodeClient({ baseUrl: stage.server.baseUrl, apiKey: "guess" });
    await expect(stranger.begin({ waitS: 0 })).rejects.toThrow(EpisodeApiError);
    await expect(stranger.begin({ waitS: 0 })).rejects.toMatchObject({ status: 401 });
    await expect(stranger.run(async () => ({ reward: 1 }))).rejects.toMatchObject({ status: 401 });
    const running = offer();
    const episode = await begin();
    await expect(client.end({ ...episode, apiKey: KEY }, { reward: 1 })).rejects.toMatchObject({ status: 401 });
    await client.end(episode, { reward: 1 });
    await running;
  });
});

describe("an agent in Python", () => {
  const python = process.env["AJET_TEST_OPENAI_PYTHON"] ?? "python3";
  const check = spawnSync(python, ["-c", "import openai"]);
  const isThere = check.status === 0 && existsSync(`${ROOT}docs/episode-api.md`);
  if (!isThere) console.warn("skipped: no Python with the openai package (name one in AJET_TEST_OPENAI_PYTHON)");

  it.skipIf(!isThere)("plays episodes with the openai package", async () => {
    const { readFileSync, mkdtempSync, writeFileSync, rmSync } = await import("node:fs");
    const { spawn } = await import("node:child_process");
    const [program] =
      /(?<=^```python\n# agent\.py\n).*?(?=^```$)/ms.exec(readFileSync(`${ROOT}docs/episode-api.md`, "utf8")) ?? [];
    const folder = mkdtempSync("/tmp/ajet-python-");
    try {
      writeFileSync(`${folder}/episode_api.json`, JSON.stringify({ base_url: stage.server.baseUrl, api_key: KEY }));
      writeFileSync(`${folder}/agent.py`, program as string);
      const agent = spawn(python, ["agent.py", "episode_api.json"], {
        cwd: folder,
        stdio: ["ignore", "inherit", "inherit"],
      });
      const results = await offer({ tasks: 3, judge: "ajet->MathAnswerAsJudge" });
      agent.kill();
      expect(results.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
      expect(
        results.every(({ calls, metadata }) => calls.length > 0 && typeof metadata["final_answer"] === "string"),
      ).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
