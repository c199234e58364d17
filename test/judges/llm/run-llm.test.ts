import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { AnswerCache } from "../../../src/judges/llm/answer-cache.js";
import { retryAfter } from "../../../src/judges/llm/chat-endpoint.js";
import type { LlmSettings } from "../../../src/judges/llm/llm-settings.js";
import { llmSettings } from "../../../src/judges/llm/llm-settings.js";
import { RunLlm } from "../../../src/judges/llm/run-llm.js";
import { temporaryFolder } from "../../cli/ajet.js";
import { type Behaviour, LocalEndpoint } from "./local-endpoint.js";

const question = (content: string, more: object = {}) => ({ messages: [{ role: "user" as const, content }], ...more });

let endpoint: LocalEndpoint;
const opened: RunLlm[] = [];

beforeEach(async () => {
  endpoint = await LocalEndpoint.start(({ body }) => ({ answer: `re: ${body.messages.at(-1)?.content}` }));
});
afterEach(async () => {
  for (const llm of opened.splice(0)) llm.close();
  await endpoint.stop();
});

function open(over: Partial<LlmSettings> = {}, onProblem?: (message: string) => void): RunLlm {
  const llm = new RunLlm(endpoint.settings(over), onProblem);
  opened.push(llm);
  return llm;
}

/** Misbehaves with the first `times` requests. */
function failing(times: number, behaviour: Behaviour): void {
  endpoint.behave = ({ number }) => (number <= times ? behaviour : { answer: "at last" });
}

describe("a question", () => {
  it("goes out as the settings have it, and the text comes back", async () => {
    const params = { temperature: null, top_p: 0.5 };
    expect(await open({ params, maxTokens: 7 }).ask(question("hello"))).toBe("re: hello");
    const [request] = endpoint.requests;
    expect(request?.body).toEqual({
      ...{ model: "judge", messages: [{ role: "user", content: "hello" }], max_tokens: 7, top_p: 0.5 },
    });
    expect(request?.headers.authorization).toBe("Bearer secret");
  });

  // The first is 16.1 s, the second longer than a timer runs.
  it.each([16100.000000000002, 1e13])("has %d ms to be answered where the settings say so", async (timeoutMs) => {
    expect(await open({ timeoutMs }).ask(question("hello"))).toBe("re: hello");
  });

  it("brings no key where there is none", async () => {
    const { apiKey: _, ...settings } = endpoint.settings();
    await new RunLlm(settings).ask(question("hello"));
    expect(endpoint.requests[0]?.headers.authorization).toBeUndefined();
  });
});

describe("an endpoint that misbehaves", () => {
  it.each<[string, Behaviour]>([
    ["429", { status: 429 }],
    ["503", { status: 503, raw: "<html>overloaded" }],
    ["408", { status: 408 }],
    ["garbage", { raw: "{no json" }],
    ["JSON that is no completion", { raw: '{"choices":[]}' }],
    ["null", { raw: "null" }],
    ["a dropped connection", { hangUp: true }],
    ["a time-out", { delayMs: 20_000 }],
  ])("is asked again after %s", async (_, behaviour) => {
    failing(2, behaviour);
    const limit = behaviour.delayMs === undefined ? {} : { timeoutMs: 1500 };
    expect(await open(limit).ask(question("x"))).toBe("at last");
    expect(endpoint.requests).toHaveLength(3);
  });

  it.each<[string, Behaviour, RegExp]>([
    ["429", { status: 429, raw: '{"error":{"message":"slow down"}}' }, /answered 429: slow down \(4 tries\)/],
    ["garbage", { raw: "nonsense" }, /answered with no chat completion: nonsense \(4 tries\)/],
    ["silence", { delayMs: 20_000 }, /did not answer within 1\.5 s \(4 tries\)/],
    ["a dropped connection", { hangUp: true }, /could not be reached: .*\(4 tries\)/],
  ])("is given up after the last try: %s", async (_, behaviour, message) => {
    failing(99, behaviour);
    const limit = behaviour.delayMs === undefined ? {} : { timeoutMs: 1500 };
    const asking = open(limit).ask(question("x"));
    await expect(asking).rejects.toMatchObject({ code: "ERR_AJET_JUDGE_LLM", message: expect.stringMatching(message) });
    expect(endpoint.requests).toHaveLength(4);
  });

  it.each([
    [401, '{"error":{"message":"no such key"}}', /judge at http.* answered 401 \(is the key right\?\): no such key$/],
    [404, '{"error":"no such model"}', /answered 404: no such model$/],
    [400, "x".repeat(1000), /answered 400: x{300}…$/],
  ])("is not asked again after %i", async (status, raw, message) => {
    failing(99, { status, raw });
    await expect(open().ask(question("x"))).rejects.toThrow(message);
    expect(endpoint.requests).toHaveLength(1);
  });

  it("waits longer from try to try", async () => {
    failing(3, { status: 500 });
    await open({ firstDelayMs: 60 }).ask(question("x"));
    const times = endpoint.requests.map(({ atMs }) => atMs);
    const waits = times.slice(1).map((time, i) => time - (times[i] as number));
    // At least half of 60, 120 and 240 ms.
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(29 * 2 ** i);
  });

  it("has all calls wait as long as it asks for", async () => {
    endpoint.behave = ({ number }) =>
      number === 1 ? { status: 429, headers: { "retry-after": "1" } } : { answer: "yes" };
    const llm = open({ maxParallel: 1 });
    expect(await Promise.all([llm.ask(question("a")), llm.ask(question("b"))])).toEqual(["yes", "yes"]);
    const [first, ...others] = endpoint.requests.map(({ atMs }) => atMs) as [number, ...number[]];
    for (const time of others) expect(time - first).toBeGreaterThanOrEqual(950);
  });

  it("is asked again though somebody sets the clock back", async () => {
    failing(1, { status: 429, headers: { "retry-after-ms": "200" } });
    const { now } = Date;
    let hours = 0;
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() - 3_600_000 * hours++);
    onTestFinished(() => clock.mockRestore());
    expect(await open().ask(question("x"))).toBe("at last");
  });

  it("is given up where it asks for a pause beyond any patience", async () => {
    failing(99, { status: 429, headers: { "retry-after": "86400" } });
    await expect(open().ask(question("x"))).rejects.toThrow(/it asks to wait 86400 s/);
  });

  it("is not there at all", async () => {
    const llm = open({ maxRetries: 1 });
    await endpoint.stop();
    await expect(llm.ask(question("x"))).rejects.toThrow(/could not be reached: ECONNREFUSED \(2 tries\)/);
  });
});

it("reads Retry-After in seconds, in milliseconds and as a date", () => {
  const read = (name: string, value: string) => retryAfter(new Headers({ [name]: value }));
  expect(read("retry-after", "2")).toBe(2000);
  expect(read("retry-after-ms", "150")).toBe(150);
  const inAnHour = read("retry-after", new Date(Date.now() + 3_600_000).toUTCString());
  expect(inAnHour).toBeGreaterThan(1_800_000); // the machine may stop between the two looks at the clock
  expect(inAnHour).toBeLessThanOrEqual(3_600_000);
  for (const odd of ["soon", "-3", "Thu, 01 Jan 1970 00:00:00 GMT", ""]) expect(read("retry-after", odd)).toBe(0);
});

describe("many questions", () => {
  it("are never more at once than allowed, and all are answered though every third call fails", async () => {
    endpoint.behave = ({ number, body }) => ({
      ...(number % 3 === 0 ? { status: 500 } : { answer: `re: ${body.messages[0]?.content}` }),
      delayMs: 5,
    });
    const llm = open({ maxParallel: 4, maxRetries: 20, firstDelayMs: 1 });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => llm.ask(question(`q${i}`))));
    expect(answers).toEqual(Array.from({ length: 60 }, (_, i) => `re: q${i}`));
    expect(endpoint.mostRunning).toBe(4);
    expect(endpoint.requests.length).toBeGreaterThanOrEqual(60 * 1.4);
  });

  it("that are equal are asked once", async () => {
    endpoint.behave = () => ({ answer: "one", delayMs: 30 });
    const llm = open();
    expect(new Set(await Promise.all(Array.from({ length: 9 }, () => llm.ask(question("same")))))).toEqual(
      new Set(["one"]),
    );
    expect(endpoint.requests).toHaveLength(1);
  });

  it("end with the run", async () => {
    endpoint.behave = () => ({ delayMs: 5000 });
    const llm = open({ maxParallel: 1 });
    const asking = ["a", "b"].map((text) => llm.ask(question(text)));
    setTimeout(() => llm.close(), 50);
    for (const { status } of await Promise.allSettled(asking)) expect(status).toBe("rejected");
  });
});

describe("the cache", () => {
  const filesIn = (folder: string) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".json"));

  it("answers equal questions of every run with the same model and endpoint, without the key in it", async () => {
    const cacheFolder = temporaryFolder();
    expect(await open({ cacheFolder }).ask(question("x"))).toBe("re: x");
    expect(await open({ cacheFolder, apiKey: "another" }).ask(question("x"))).toBe("re: x");
    expect(endpoint.requests).toHaveLength(1);
    for (const over of [{ model: "other" }, { temperature: 1 }, { params: { seed: 1 } }]) {
      await open({ cacheFolder, ...over }).ask(question("x"));
    }
    expect(endpoint.requests).toHaveLength(4);
    const files = filesIn(cacheFolder);
    expect(files).toHaveLength(4);
    for (const file of files) expect(readFileSync(join(cacheFolder, file), "utf8")).not.toContain("secret");
  });

  it("is passed over, and set anew, where an answer was of no use", async () => {
    const cacheFolder = temporaryFolder();
    endpoint.behave = ({ number }) => ({ answer: `answer ${number}` });
    const llm = open({ cacheFolder });
    await llm.ask(question("x"));
    expect(await llm.ask(question("x", { refresh: true }))).toBe("answer 2");
    expect(await llm.ask(question("x"))).toBe("answer 2");
  });

  it.each([
    ["a torn file", (file: string) => truncateSync(file, 40)],
    ["an empty file", (file: string) => truncateSync(file, 0)],
    ["another question's answer", (file: string) => writeFileSync(file, '{"url":"","body":"","answer":"no"}')],
    ["no object", (file: string) => writeFileSync(file, "null")],
  ])("does not believe %s", async (_, damage) => {
    const cacheFolder = temporaryFolder();
    await open({ cacheFolder }).ask(question("x"));
    damage(join(cacheFolder, filesIn(cacheFolder)[0] as string));
    expect(await open({ cacheFolder }).ask(question("x"))).toBe("re: x");
    expect(endpoint.requests).toHaveLength(2);
    expect(await open({ cacheFolder }).ask(question("x"))).toBe("re: x");
    expect(endpoint.requests).toHaveLength(2);
  });

  it("keeps no failures", async () => {
    const cacheFolder = temporaryFolder();
    failing(1, { status: 400 });
    await expect(open({ cacheFolder }).ask(question("x"))).rejects.toThrow(/400/);
    expect(await open({ cacheFolder }).ask(question("x"))).toBe("at last");
  });

  it("holds what many write at once", async () => {
    const folder = temporaryFolder();
    const caches = Array.from({ length: 4 }, () => new AnswerCache(folder));
    const write = (i: number) => (caches[i % 4] as AnswerCache).set("url", `body ${i % 10}`, `answer ${i % 10}`);
    await Promise.all(Array.from({ length: 200 }, (_, i) => write(i)));
    for (let i = 0; i < 10; i++) expect(await caches[0]?.get("url", `body ${i}`)).toBe(`answer ${i}`);
    expect(readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.includes("tmp"))).toEqual(
      [],
    );
  });

  it("that cannot be written is told of once, and costs no answer", async () => {
    const cacheFolder = join(temporaryFolder(), "file");
    writeFileSync(cacheFolder, "in the way");
    const problems: string[] = [];
    const llm = open({ cacheFolder }, (message) => problems.push(message));
    expect([await llm.ask(question("a")), await llm.ask(question("b"))]).toEqual(["re: a", "re: b"]);
    expect(problems).toEqual([expect.stringMatching(/cache cannot be written: ENOTDIR/)]);
  });
});

describe("llmSettings", () => {
  const config = { task_judge: { alien_llm_model: "m", alien_llm_base_url: "http://host/v1/" } };

  it("reads configuration and environment", () => {
    expect(llmSettings(config, { OPENAI_API_KEY: " key\n" })).toMatchObject({
      baseUrl: "http://host/v1",
      apiKey: "key",
    });
    const without = { task_judge: { ...config.task_judge, alien_llm_api_key_env: null } };
    expect(llmSettings(without, {})).not.toHaveProperty("apiKey");
  });

  it.each([
    [config, { OTHER: "key" }, /environment variable OPENAI_API_KEY is not set/],
    [config, { OPENAI_API_KEY: "  " }, /OPENAI_API_KEY is not set/],
    [{ task_judge: { ...config.task_judge, alien_llm_api_key_env: "MY_KEY" } }, {}, /variable MY_KEY is not set/],
    [{ task_judge: {} }, {}, /`task_judge\.alien_llm_model` is missing/],
    [undefined, {}, /`task_judge\.alien_llm_model` is missing/],
  ])("refuses %j with %j", (given, environment, problem) => {
    expect(() => llmSettings(given, environment)).toThrow(problem);
  });
});
