import type OpenAI from "openai";
import OpenAIClient from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Engine } from "../../src/native/engine.js";
import type { Model } from "../../src/native/model.js";
import type { Trainer } from "../../src/native/trainer.js";
import type { TrainCall } from "../../src/native/types.js";
import type { CallRecord } from "../../src/rollout/call-record.js";
import type { OpenSession, RunningServer, ServeSession } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { textEngine } from "../../src/serve/text-engine.js";
import { chatTemplate, saying, sessionOptions, TOOLS, tokenizer, toolCall, until } from "./harness.js";
import { randomModel } from "./random-model.js";

const QUESTION = [{ role: "user" as const, content: "How many?" }];
const CALL = toolCall("execute_python", '{"n": 1.0,  "code": "print(24)"}');
const ANSWER = "The answer is 24.";

let model: Model;
let engine: Engine;
let trainer: Trainer;
let server: RunningServer;
const records: CallRecord[] = [];

// A model of 0.1 million parameters that has learnt one conversation by heart: real sampling with a foreseeable result.
beforeAll(async () => {
  model = await randomModel(1n);
  trainer = await model.createTrainer({ learningRate: 5e-3, weightDecay: 0 });
  const calls = [lesson(QUESTION, CALL), lesson([...QUESTION, ...called(), { role: "tool", content: "24" }], ANSWER)];
  const ones = Float64Array.of(1, 1);
  for (let step = 0; step < 200; step++) {
    // With the current log-probs and advantage 1 the policy gradient is that of supervised training.
    const { logprobs } = await trainer.score(calls);
    const scored = calls.map((call, i) => ({ ...call, logprobs: logprobs[i] as Float32Array }));
    await trainer.step(
      { calls: scored, rewards: ones, advantages: ones, groups: Int32Array.of(0, 1) },
      { preset: "trl-dapo" },
    );
    if (logprobs.flatMap((values) => [...values]).every((value) => value > -0.05)) break;
  }
  engine = await model.createEngine({ maxSequences: 16, kvBytes: 64 << 20 });
  server = await startServer({ engine: textEngine(engine), tokenizer, chatTemplate, modelName: "learnt" });
});

afterAll(async () => {
  await server?.stop();
  await model?.dispose();
});

function called() {
  const parsed = { n: 1, code: "print(24)" };
  const tool_calls = [{ id: "x", type: "function" as const, function: { name: "execute_python", arguments: parsed } }];
  return [{ role: "assistant", content: "", tool_calls }];
}

function lesson(messages: object[], reply: string): TrainCall {
  const prompt = Int32Array.from(tokenizer.encode(chatTemplate.render(messages as never, { tools: TOOLS })));
  const sampled = Int32Array.from(saying(reply));
  return { episode: messages.length === 1 ? 0 : 1, prompt, sampled, logprobs: new Float32Array(0), temperature: 1 };
}

async function withSession<T>(
  options: Partial<ServeSession>,
  run: (client: OpenAI, session: OpenSession) => Promise<T>,
): Promise<T> {
  const session = server.open(sessionOptions("key", { record: (call) => records.push(call), ...options }));
  records.length = 0;
  try {
    return await run(new OpenAIClient({ baseURL: server.baseUrl, apiKey: "key", maxRetries: 0 }), session);
  } finally {
    await server.close("key");
  }
}

const ask = (client: OpenAI, more: object = {}): Promise<OpenAI.ChatCompletion> =>
  client.chat.completions.create({ model: "any", messages: QUESTION, tools: TOOLS, ...more });

describe("an agent's conversation", () => {
  it("runs through a tool call and keeps every sampled token", async () => {
    await withSession({ training: true }, async (client, session) => {
      const first = (await ask(client, { temperature: 0 })).choices[0] as OpenAI.ChatCompletion.Choice;
      expect(first.finish_reason).toBe("tool_calls");
      const [call] = first.message.tool_calls as [OpenAI.ChatCompletionMessageFunctionToolCall];
      expect(call.function).toEqual({ name: "execute_python", arguments: '{"n": 1.0,  "code": "print(24)"}' });
      // Written back by a client that parses: 1.0 becomes 1, the spacing goes.
      call.function.arguments = JSON.stringify(JSON.parse(call.function.arguments));
      const messages = [...QUESTION, first.message, { role: "tool" as const, tool_call_id: call.id, content: "24" }];
      const second = (await ask(client, { messages, temperature: 0 })).choices[0];
      expect(second).toMatchObject({ finish_reason: "stop", message: { content: ANSWER } });
      const [one, two] = records as [CallRecord, CallRecord];
      const recorded = [...one.promptIds, ...one.sampledIds];
      expect([...two.promptIds.slice(0, recorded.length)]).toEqual(recorded);
      expect([...one.sampledIds]).toEqual(saying(CALL));
      expect(session.forks).toEqual([]);
    });
  });

  it("tells how much of the second turn's prompt was computed before, whole or streamed", async () => {
    await withSession({}, async (client) => {
      await engine.resetPrefixCache();
      const first = await ask(client, { temperature: 0 });
      expect(first.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
      const { message } = first.choices[0] as OpenAI.ChatCompletion.Choice;
      const id = message.tool_calls?.[0]?.id as string;
      const messages = [...QUESTION, message, { role: "tool" as const, tool_call_id: id, content: "24" }];
      const hits = engine.stats().prefixHitTokens;
      const second = await ask(client, { messages, temperature: 0, n: 3 });
      const [one, two] = records as [CallRecord, CallRecord];
      // All of the first turn but its last token, whose KV nobody needed yet.
      const cached = one.promptIds.length + one.sampledIds.length - 1;
      expect(second.usage).toMatchObject({
        prompt_tokens: two.promptIds.length,
        prompt_tokens_details: { cached_tokens: cached },
      });
      expect(engine.stats().prefixHitTokens - hits).toBeGreaterThanOrEqual(cached);
      const request = { messages: [...messages, { role: "user" as const, content: "Sure?" }], temperature: 0 };
      const stream_options = { include_usage: true };
      const stream = client.chat.completions.stream({ model: "any", tools: TOOLS, ...request, stream_options });
      const { usage } = await stream.finalChatCompletion();
      const streamed = usage?.prompt_tokens_details?.cached_tokens;
      const third = records.at(-1) as CallRecord;
      expect(streamed).toBe(third.promptIds.findIndex((id, i) => id !== two.promptIds[i]));
      expect(streamed).toBeGreaterThan(cached);
    });
  });

  it("reports a reply that the client changed as a fork", async () => {
    await withSession({}, async (client, session) => {
      const { message } = (await ask(client, { temperature: 0 })).choices[0] as OpenAI.ChatCompletion.Choice;
      const messages = [...QUESTION, { ...message, content: "edited" }, { role: "user" as const, content: "?" }];
      for (let i = 0; i < 2; i++) await ask(client, { messages, max_tokens: 2 });
      expect(session.forks).toEqual([{ messageIndex: 1, field: "content" }]);
    });
  });
});

describe("recorded log-probs", () => {
  it("are the trainer's own, to the last bit, streamed or not, cut by a stop text or not", async () => {
    await withSession({ training: true, seed: 9n }, async (client) => {
      const variants = [{}, { temperature: 0.7 }, { n: 3 }, { stop: "a" }, { stream: true }, { max_tokens: 5 }];
      await Promise.all(
        variants.map(async (more, i) => {
          const messages = [{ role: "user", content: `How many ${i}?` }];
          const reply: unknown = await ask(client, { messages, max_tokens: 40, ...more });
          if ("stream" in more) for await (const _ of reply as AsyncIterable<unknown>) void _;
        }),
      );
    });
    expect(records.length).toBe(8);
    const calls = records.map(({ promptIds, sampledIds, logprobs, temperature }) => ({
      episode: 0,
      prompt: promptIds,
      sampled: sampledIds,
      logprobs,
      temperature,
    }));
    const scores = await trainer.score(calls);
    for (const [i, call] of calls.entries()) {
      expect(call.logprobs.length).toBe(call.sampled.length);
      expect([...(scores.logprobs[i] as Float32Array)]).toEqual([...call.logprobs]);
    }
  });
});

describe("draws", () => {
  const questions = Array.from({ length: 40 }, (_, i) => `Question ${i % 20}?`);
  const sample = (order: number[]) =>
    withSession({ seed: 3n }, async (client) => {
      const texts = new Map<string, string[]>();
      await Promise.all(
        order.map(async (i) => {
          const content = questions[i] as string;
          const reply = await ask(client, { messages: [{ role: "user", content }], max_tokens: 12, temperature: 2 });
          texts.set(content, [...(texts.get(content) ?? []), JSON.stringify(reply.choices[0]?.message)].sort());
        }),
      );
      return new Map([...texts].sort());
    });

  it("do not depend on the order of arrival", async () => {
    const order = [...questions.keys()];
    const forward = await sample(order);
    expect(await sample(order.toReversed())).toEqual(forward);
    expect(new Set([...forward.values()].flat()).size).toBeGreaterThan(30);
  });

  it("repeat with a seed, whole or streamed, and differ without", async () => {
    await withSession({}, async (client) => {
      const request = {
        max_tokens: 20,
        seed: 11,
        temperature: 1.5,
        messages: [{ role: "user" as const, content: "Hm?" }],
      };
      const text = (reply: OpenAI.ChatCompletion) => JSON.stringify(reply.choices[0]?.message.content);
      const seeded = text(await ask(client, request));
      expect(text(await ask(client, request))).toBe(seeded);
      const stream = client.chat.completions.stream({ model: "any", tools: TOOLS, ...request });
      expect(JSON.stringify(await stream.finalContent())).toBe(seeded);
      expect(text(await ask(client, { ...request, seed: 12 }))).not.toBe(seeded);
      const { seed: _seed, ...unseeded } = request;
      expect(text(await ask(client, unseeded))).not.toBe(text(await ask(client, unseeded)));
    });
  });
});

describe("the engine behind the server", () => {
  it("answers 300 calls at once", async () => {
    await withSession({}, async (client) => {
      const replies = await Promise.all(
        Array.from({ length: 300 }, (_, i) =>
          ask(client, { max_tokens: 4, messages: [{ role: "user", content: `#${i}` }] }),
        ),
      );
      for (const reply of replies) expect(reply.usage?.completion_tokens).toBeGreaterThan(0);
      expect(records).toHaveLength(300);
    });
  });

  it("is told when a client leaves", async () => {
    // Untaught, so that choices are long: nothing makes the end of a turn likely.
    await using slow = await randomModel(2n, { num_hidden_layers: 12 }, 1);
    const slowEngine = await slow.createEngine({ maxSequences: 4, kvBytes: 64 << 20 });
    const other = await startServer({ engine: textEngine(slowEngine), tokenizer, chatTemplate, modelName: "slow" });
    const left: CallRecord[] = [];
    other.open(sessionOptions("key", { record: (call) => left.push(call) }));
    const client = new OpenAIClient({ baseURL: other.baseUrl, apiKey: "key", maxRetries: 0 });
    const request = { model: "any", messages: QUESTION, stream: true as const, n: 64, max_tokens: 900 };
    for await (const _ of await client.chat.completions.create(request)) break;
    await until(() => left.length === 64);
    expect(left.filter(({ finishReason }) => finishReason === "cancelled").length).toBeGreaterThan(0);
    expect(left.every(({ dropReason }) => dropReason === "cancelled")).toBe(true);
    await until(() => slowEngine.stats().running === 0 && slowEngine.stats().waiting === 0);
    await other.stop();
  });

  it("ends a choice at a stop text and frees its place", async () => {
    await withSession({}, async (client) => {
      const before = engine.stats().generatedTokens;
      const reply = await ask(client, { temperature: 0, stop: "name", tools: [], n: 1 });
      expect(reply.choices[0]?.message.content).not.toContain("name");
      await until(() => engine.stats().running === 0);
      expect(engine.stats().generatedTokens - before).toBeGreaterThan(0);
      expect(records[0]?.finishReason).toBe(reply.choices[0]?.finish_reason);
    });
  });

  it("ends each choice at its own stop text, while the others go on", async () => {
    // Untaught, so that choices are long; large enough that a step takes longer than to tell of it.
    const shape = { hidden_size: 256, intermediate_size: 512, num_hidden_layers: 6 };
    await using untaught = await randomModel(2n, shape, 1);
    const own = await untaught.createEngine({ maxSequences: 16, kvBytes: 64 << 20 });
    const other = await startServer({ engine: textEngine(own), tokenizer, chatTemplate, modelName: "untaught" });
    const calls: CallRecord[] = [];
    other.open(sessionOptions("key", { record: (call) => calls.push(call) }));
    const client = new OpenAIClient({ baseURL: other.baseUrl, apiKey: "key", maxRetries: 0 });
    const request = { model: "any", messages: QUESTION, n: 8, max_tokens: 300, stop: ["answer", "Q"], seed: 4 };
    const whole = await client.chat.completions.create(request);
    await until(() => own.stats().running === 0);
    const lengths = calls.map(({ sampledIds }) => sampledIds.length);
    const recorded = lengths.reduce((sum, length) => sum + length, 0);
    // At least one choice goes on to the end, and would take the others along.
    expect(lengths.filter((length) => length === 300).length).toBeGreaterThan(0);
    const saved = lengths.reduce((sum, length) => sum + 300 - length, 0);
    expect(saved).toBeGreaterThan(600);
    // How far the engine gets before it is told depends on how busy the machine is.
    expect(own.stats().generatedTokens - recorded).toBeLessThan(saved);
    // The same texts, streamed: each choice ends where it did.
    const stream = client.chat.completions.stream({ ...request, stream: true });
    const texts = (reply: OpenAI.ChatCompletion) => reply.choices.map(({ message }) => message.content);
    expect(texts(await stream.finalChatCompletion())).toEqual(texts(whole));
    await other.stop();
  });

  it("tells log-probs and alternatives", async () => {
    await withSession({}, async (client) => {
      const reply = await ask(client, { temperature: 0, logprobs: true, top_logprobs: 5 });
      const content = reply.choices[0]?.logprobs?.content as OpenAI.ChatCompletionTokenLogprob[];
      expect(content.length).toBe(saying(CALL).length - 1);
      expect(content.map(({ token }) => token).join("")).toBe(CALL);
      for (const [i, { token, logprob, top_logprobs }] of content.entries()) {
        expect(logprob).toBe(records[0]?.logprobs[i]);
        expect(top_logprobs).toHaveLength(5);
        expect(top_logprobs[0]).toMatchObject({ token, logprob });
        expect(top_logprobs.map((top) => top.logprob)).toEqual(
          top_logprobs.map((top) => top.logprob).sort((a, b) => b - a),
        );
      }
    });
  });

  it("shows its weights version and its counters", async () => {
    await withSession({}, async (client) => {
      const [listed] = (await client.models.list()).data;
      expect(listed).toMatchObject({ id: "learnt", weights_version: model.version });
      expect(model.version).toBeGreaterThan(0);
      await ask(client, { max_tokens: 2 });
      expect(records[0]).toMatchObject({ firstVersion: model.version, lastVersion: model.version });
      const metrics = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
      expect(metrics).toMatch(/ajet_engine\{stat="generatedTokens"\} [1-9]/);
    });
  });

  it("refuses what does not fit its context, with the numbers", async () => {
    await withSession({}, async (client) => {
      const call = ask(client, { messages: [{ role: "user", content: "word ".repeat(1100) }] });
      await expect(call).rejects.toMatchObject({ status: 400, code: "context_length_exceeded" });
      await expect(call).rejects.toThrow(/1024 tokens/);
    });
  });
});
