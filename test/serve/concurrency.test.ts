import type OpenAI from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { Harness, saying, tokenizer, until } from "./harness.js";

let harness: Harness;
afterEach(() => harness.server.stop());

const body = (content: string, more = {}) => ({
  model: "any",
  messages: [{ role: "user" as const, content }],
  ...more,
});
const endless = () => Array<number>(4000).fill(tokenizer.encode("x")[0] as number);

/** Holds the engine until released. */
function hold(): () => void {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  harness.engine.gate = () => held;
  return release;
}

describe("many calls at once", () => {
  it("queues 300 and answers each with its own reply", async () => {
    harness = await Harness.start(({ promptIds }) => saying(`for ${/#\d+/.exec(tokenizer.decode(promptIds))?.[0]}`));
    const release = hold();
    const client = harness.client();
    const calls = Array.from({ length: 300 }, (_, i) =>
      i % 3 === 0
        ? client.chat.completions.stream(body(`#${i}`)).finalChatCompletion()
        : client.chat.completions.create(body(`#${i}`)),
    );
    await until(() => harness.engine.calls.length === 300);
    expect(harness.session.inFlight).toBe(300);
    release();
    const replies = await Promise.all(calls);
    for (const [i, reply] of replies.entries()) expect(reply.choices[0]?.message.content).toBe(`for #${i}`);
    expect(harness.records).toHaveLength(300);
    expect(new Set(harness.records.map(({ callId }) => callId)).size).toBe(300);
    expect(harness.records.map(({ ordinal }) => ordinal).sort((a, b) => a - b)).toEqual([...Array(300).keys()]);
    expect(harness.session.inFlight).toBe(0);
  });

  it("answers 429 only beyond the configured queue", async () => {
    harness = await Harness.start(() => saying("x"), { maxPending: 3 });
    const release = hold();
    const calls = [0, 1, 2].map((i) => harness.post(body(`${i}`, { stream: i === 1 })));
    await until(() => harness.engine.calls.length === 3);
    const refused = await harness.post(body("3"));
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      error: { type: "rate_limit_error", code: "queue_full", param: null },
    });
    release();
    for (const call of calls) expect((await call).status).toBe(200);
    await Promise.all(calls.map(async (call) => (await call).text()));
    await until(() => harness.session.inFlight === 0);
    expect((await harness.post(body("4"))).status).toBe(200);
  });
});

describe("a client that leaves", () => {
  it.each([false, true])("cancels its generation (stream: %s)", async (stream) => {
    harness = await Harness.start(endless);
    const controller = new AbortController();
    const call = harness.client().chat.completions.create(body("hi", { stream, max_tokens: 4000 }), {
      signal: controller.signal,
    });
    call.catch(() => {});
    await until(() => harness.engine.calls.length === 1);
    expect(harness.session.inFlight).toBe(1);
    controller.abort();
    await until(() => harness.session.inFlight === 0);
    expect(harness.engine.calls[0]?.options.signal?.aborted).toBe(true);
    expect(harness.records).toMatchObject([{ finishReason: "cancelled", dropReason: "cancelled" }]);
    expect(harness.records[0]?.sampledIds.length).toBeLessThan(4000);
    expect(harness.records[0]?.logprobs.length).toBe(harness.records[0]?.sampledIds.length);
    const metrics = await (await harness.fetch("/metrics")).text();
    expect(metrics).toContain('ajet_requests_total{route="/v1/chat/completions",status="499"} 1');
    expect(harness.errors).toEqual([]);
  });

  it("cancels by leaving the loop of a stream", async () => {
    harness = await Harness.start(endless);
    const stream = await harness
      .client()
      .chat.completions.create(body("hi", { stream: true, max_tokens: 4000 }) as never);
    for await (const chunk of stream as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
      if (chunk.choices[0]?.delta.content) break;
    }
    await until(() => harness.session.inFlight === 0);
    expect(harness.records).toMatchObject([{ finishReason: "cancelled", dropReason: "cancelled" }]);
  });

  it("drops choices that were finished but never delivered", async () => {
    harness = await Harness.start((_call, choice) => (choice === 0 ? saying("done") : endless()));
    const controller = new AbortController();
    const call = harness
      .client()
      .chat.completions.create(body("hi", { n: 2, max_tokens: 4000 }), { signal: controller.signal });
    call.catch(() => {});
    await until(() => harness.engine.calls.length === 1);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    await until(() => harness.session.inFlight === 0);
    expect(harness.records).toMatchObject([
      { choice: 0, finishReason: "stop", dropReason: "cancelled" },
      { choice: 1, finishReason: "cancelled", dropReason: "cancelled" },
    ]);
  });
});

describe("closing a session", () => {
  it("cancels what is in flight, answers 401, and resolves when nothing is left", async () => {
    harness = await Harness.start(endless);
    harness.open("episode");
    const whole = harness.post(body("one", { max_tokens: 4000 }), "episode");
    const stream = harness.post(body("two", { max_tokens: 4000, stream: true }), "episode");
    const bystander = harness.post(body("three", { max_tokens: 5 }));
    await until(() => harness.engine.calls.length === 3);
    await harness.server.close("episode");
    const cancelled = harness.records.filter(({ dropReason }) => dropReason === "cancelled");
    expect(cancelled).toHaveLength(2);
    expect((await whole).status).toBe(401);
    expect(await (await whole).json()).toMatchObject({
      error: { code: "invalid_api_key", message: expect.stringMatching(/revoked/) },
    });
    const events = (await (await stream).text()).trim().split("\n\n");
    expect(JSON.parse((events.at(-1) as string).replace("data: ", ""))).toMatchObject({
      error: { code: "invalid_api_key", type: "invalid_request_error", param: null },
    });
    expect((await bystander).status).toBe(200);
    expect((await harness.post(body("four"), "episode")).status).toBe(401);
  });

  it("reaches the library's stream as an error", async () => {
    harness = await Harness.start(endless);
    harness.open("episode");
    const stream = await harness
      .client("episode")
      .chat.completions.create(body("hi", { stream: true, max_tokens: 4000 }) as never);
    const read = (async () => {
      for await (const chunk of stream as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
        if (chunk.choices[0]?.delta.content) void harness.server.close("episode");
      }
    })();
    await expect(read).rejects.toThrow(/revoked/);
  });

  it("is harmless for a key that is not open, and frees the key", async () => {
    harness = await Harness.start(() => saying("x"));
    await harness.server.close("nobody");
    harness.open("again");
    await harness.server.close("again");
    harness.open("again");
    expect((await harness.post(body("hi"), "again")).status).toBe(200);
  });
});

it("stopping answers calls in flight and closes the port", async () => {
  harness = await Harness.start(endless);
  const call = harness.post(body("hi", { max_tokens: 4000 }));
  await until(() => harness.engine.calls.length === 1);
  await harness.server.stop();
  expect((await call).status).toBe(503);
  await expect(harness.fetch("/health")).rejects.toThrow();
});

it("answers 503 where the engine ends a generation on its own", async () => {
  harness = await Harness.start(endless);
  const { engine } = harness;
  const generate = engine.generate.bind(engine);
  engine.generate = (ids, options) => {
    const cancel = new AbortController();
    const onTokens: typeof options.onTokens = (events) => {
      options.onTokens?.(events);
      cancel.abort();
    };
    return generate(ids, { ...options, signal: cancel.signal, onTokens });
  };
  const response = await harness.post(body("hi", { max_tokens: 4000 }));
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { type: "server_error", code: "generation_cancelled" } });
  expect(harness.records).toMatchObject([{ finishReason: "cancelled", dropReason: "cancelled" }]);
});
