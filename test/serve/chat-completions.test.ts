import type OpenAI from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { END, Harness, saying, TOOLS, tokenizer, toolCall } from "./harness.js";
import { logprobOf, type Script } from "./scripted-engine.js";

type Params = Omit<OpenAI.ChatCompletionCreateParamsNonStreaming, "stream" | "model" | "messages"> & {
  messages?: OpenAI.ChatCompletionMessageParam[];
};

let harness: Harness;
afterEach(() => harness.server.stop());

const user: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "How many?" }];

async function whole(params: Params): Promise<OpenAI.ChatCompletion> {
  return harness.client().chat.completions.create({ model: "any", messages: user, ...params });
}

/** The same reply put together from the stream by the client library. */
async function streamed(params: Params): Promise<OpenAI.ChatCompletion> {
  const options = { stream_options: { include_usage: true } };
  return harness
    .client()
    .chat.completions.stream({ model: "any", messages: user, ...params, ...options })
    .finalChatCompletion();
}

const start = async (script: Script) => {
  harness = await Harness.start(script);
};

describe("a reply", () => {
  it("has the API's shape", async () => {
    await start(() => saying("The answer is 24."));
    const reply = await whole({});
    const promptTokens = harness.engine.calls[0]?.promptIds.length as number;
    const completionTokens = saying("The answer is 24.").length;
    expect(reply).toMatchObject({
      object: "chat.completion",
      model: "any",
      choices: [
        {
          index: 0,
          finish_reason: "stop",
          logprobs: null,
          message: { role: "assistant", content: "The answer is 24.", refusal: null },
        },
      ],
      usage: {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens,
        prompt_tokens_details: { cached_tokens: Math.floor(promptTokens / 2) },
      },
    });
    expect(reply.id).toMatch(/^chatcmpl-[0-9a-f]{24}$/);
    expect(reply.choices[0]?.message.tool_calls).toBeUndefined();
    expect(Math.abs(reply.created - Date.now() / 1000)).toBeLessThan(60);
  });

  it("is recorded token by token", async () => {
    await start(() => saying("The answer is 24."));
    const reply = await whole({ temperature: 0.5 });
    const ids = saying("The answer is 24.");
    expect(harness.records).toEqual([
      {
        callId: reply.id,
        choice: 0,
        promptIds: harness.engine.calls[0]?.promptIds,
        sampledIds: Int32Array.from(ids),
        logprobs: Float32Array.from(ids, (_, i) => logprobOf(i)),
        temperature: 0.5,
        firstVersion: 3,
        lastVersion: 3,
        finishReason: "stop",
        ordinal: 0,
        repetition: 0,
        messages: user,
        reply: reply.choices[0]?.message,
        startedMs: expect.any(Number),
        endedMs: expect.any(Number),
      },
    ]);
  });

  it("ends with length where tokens run out", async () => {
    await start(() => saying("The answer is 24."));
    for (const limit of [
      { max_tokens: 3 },
      { max_completion_tokens: 3 },
      { max_tokens: 9, max_completion_tokens: 3 },
    ]) {
      const reply = await whole(limit);
      expect(reply.choices[0]?.finish_reason).toBe("length");
      expect(reply.usage?.completion_tokens).toBe(3);
      expect(harness.records.at(-1)?.finishReason).toBe("length");
    }
  });

  it("passes the sampling parameters and the session's defaults on", async () => {
    await start(() => saying("x"));
    await whole({ temperature: 0.25, top_p: 0.5, top_logprobs: 4, logprobs: true, ...{ top_k: 7, min_p: 0.125 } });
    expect(harness.engine.calls[0]?.options).toMatchObject({
      temperature: 0.25,
      topP: 0.5,
      topK: 7,
      minP: 0.125,
      topLogprobs: 4,
    });
    harness.open("other", { defaults: { temperature: 0.75, topP: 0.9, topK: 5, minP: 0.05, maxTokens: 11 } });
    await harness.client("other").chat.completions.create({ model: "any", messages: user });
    expect(harness.engine.calls[1]?.options).toMatchObject({
      temperature: 0.75,
      topP: 0.9,
      topK: 5,
      minP: 0.05,
      maxTokens: 11,
    });
    harness.open("forced", { forceTemperature: true });
    await harness.client("forced").chat.completions.create({ model: "any", messages: user, temperature: 0 });
    expect(harness.engine.calls[2]?.options.temperature).toBe(1);
    expect(harness.records.at(-1)?.temperature).toBe(1);
  });

  it("takes developer messages, parts, and what an assistant message may carry", async () => {
    await start(() => saying("x"));
    const part = (text: string) => ({ type: "text" as const, text });
    await whole({
      messages: [
        { role: "developer", content: [part("A"), part("B")] },
        { role: "user", content: [part("C")] },
      ],
    });
    const seen = tokenizer.decode(harness.engine.calls[0]?.promptIds as Int32Array);
    expect(seen).toBe("system\nA\nB\nuser\nC\nassistant\n");
  });
});

const TEXTS: Record<string, string> = {
  text: "The answer is 24.",
  unicode: "naïve 日本 😀👩‍👧 \u00a0",
  "a call": toolCall("execute_python", '{"code": "print(1.0)"}'),
  "text and two calls": `Let me see. \n${toolCall("execute_python", "{}")}\n${toolCall("g", '{"x":  1.50}')}\n`,
  "a malformed call": 'Hm <tool_call>\n{"name": }\n</tool_call> \n',
  "an open call": 'Hm\n<tool_call>\n{"name": "execute',
  "odd white space": " \n\t x \n\n",
  nothing: "",
};

describe("streaming", () => {
  it.each(Object.keys(TEXTS))("gives the same message as a whole reply: %s", async (name) => {
    const text = TEXTS[name] as string;
    const bytes = [...Buffer.from(text)].map((byte) => tokenizer.idOf(String.fromCharCode(byte)));
    const byByte = bytes.every((id) => id !== undefined) ? [...(bytes as number[]), END] : saying(text);
    for (const script of [saying(text), byByte]) {
      await start(() => script);
      for (const params of [
        { tools: TOOLS },
        {},
        { tools: TOOLS, tool_choice: "none" as const },
        { stop: ["1.", "ive"] },
      ]) {
        // Equal prompts within a session get ids of their own, so each reply comes from a fresh session.
        harness.open("a");
        harness.open("b");
        const body = { model: "any", messages: user, ...params };
        const plain = await harness.client("a").chat.completions.create(body);
        const stream = harness
          .client("b")
          .chat.completions.stream({ ...body, stream_options: { include_usage: true } });
        const collected = await stream.finalChatCompletion();
        expect(collected.choices[0]?.finish_reason).toBe(plain.choices[0]?.finish_reason);
        expect(collected.choices[0]?.message.content ?? "").toBe(plain.choices[0]?.message.content ?? "");
        const calls = (reply: OpenAI.ChatCompletion) =>
          (reply.choices[0]?.message.tool_calls ?? []).map(
            ({ id, type, function: f }: OpenAI.ChatCompletionMessageFunctionToolCall) => ({
              id,
              type,
              name: f.name,
              arguments: f.arguments,
            }),
          );
        expect(calls(collected as OpenAI.ChatCompletion)).toEqual(calls(plain));
        expect(collected.usage).toEqual(plain.usage);
        expect(collected.id).toBe(plain.id);
        await harness.server.close("a");
        await harness.server.close("b");
      }
      await harness.server.stop();
    }
  });

  it("writes server-sent events, usage and [DONE]", async () => {
    await start(() => saying("Hi there"));
    const response = await harness.post({ messages: user, stream: true, stream_options: { include_usage: true } });
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const text = await response.text();
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    const events = text
      .split("\n\n")
      .slice(0, -2)
      .map((line) => JSON.parse(line.replace(/^data: /, "")));
    for (const line of text.split("\n\n").slice(0, -1)) expect(line).toMatch(/^data: [^\n]+$/);
    expect(events[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(events.at(-2).choices[0]).toMatchObject({ delta: {}, finish_reason: "stop" });
    expect(events.at(-1).choices).toEqual([]);
    expect(events.at(-1).usage.completion_tokens).toBe(saying("Hi there").length);
    for (const event of events.slice(0, -1))
      expect(event).toMatchObject({ object: "chat.completion.chunk", usage: null });
    const silent = await (await harness.post({ messages: user, stream: true })).text();
    expect(silent).not.toContain("usage");
  });

  it("lets text through before the reply is finished", async () => {
    await start(() => saying("Hello world, how are you?"));
    let open = () => {};
    const gates = [Promise.resolve(), Promise.resolve(), new Promise<void>((resolve) => (open = resolve))];
    harness.engine.gate = () => gates.shift() ?? Promise.resolve();
    const stream = await harness.client().chat.completions.create({ model: "any", messages: user, stream: true });
    let text = "";
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      // Two tokens are out while the engine is still held at the gate.
      if (text !== "") open();
    }
    expect(text).toBe("Hello world, how are you?");
  });
});

describe("tools", () => {
  it("become tool calls with deterministic ids and finish_reason tool_calls", async () => {
    await start(() => saying(TEXTS["text and two calls"] as string));
    const { message, finish_reason } = (await whole({ tools: TOOLS })).choices[0] as OpenAI.ChatCompletion.Choice;
    expect(finish_reason).toBe("tool_calls");
    expect(message.content).toBe("Let me see.");
    expect(message.tool_calls).toMatchObject([
      { type: "function", function: { name: "execute_python", arguments: "{}" } },
      { type: "function", function: { name: "g", arguments: '{"x":  1.50}' } },
    ]);
    const ids = message.tool_calls?.map(({ id }) => id) as string[];
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^call_[0-9a-f]{24}$/);
    harness.open("again");
    const again = await harness.client("again").chat.completions.create({ model: "any", messages: user, tools: TOOLS });
    expect(again.choices[0]?.message.tool_calls?.map(({ id }) => id)).toEqual(ids);
    expect((await whole({ tools: TOOLS })).choices[0]?.message.tool_calls?.map(({ id }) => id)).not.toEqual(ids);
  });

  it("are not parsed with tool_choice none or without tools", async () => {
    const text = TEXTS["a call"] as string;
    await start(() => saying(text));
    for (const params of [{}, { tools: [] }, { tools: TOOLS, tool_choice: "none" as const }]) {
      expect((await whole(params)).choices[0]).toMatchObject({ finish_reason: "stop", message: { content: text } });
    }
    expect((await whole({ tools: TOOLS, tool_choice: "auto" })).choices[0]?.message.content).toBeNull();
  });

  it("keep the recorded tokens through a conversation, streamed or not", async () => {
    const script = [toolCall("execute_python", '{ "code":"1.0" , "n": 1.0}'), " \n24 <tool_call>{", "Yes."].map(saying);
    await start((_call, _choice, index) => script[index] as number[]);
    const messages = structuredClone(user);
    let previous: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      const params = { messages, tools: TOOLS };
      const reply = await (turn === 1 ? streamed(params) : whole(params));
      const record = harness.records.at(-1);
      const prompt = [...(record?.promptIds ?? [])];
      expect(prompt.slice(0, previous.length)).toEqual(previous);
      previous = [...prompt, ...(record?.sampledIds ?? [])];
      const message = reply.choices[0]?.message as OpenAI.ChatCompletionMessage;
      // As a client with its own types would send it back.
      const calls = message.tool_calls?.map((call) => ({
        ...(call as OpenAI.ChatCompletionMessageFunctionToolCall),
        function: { name: "execute_python", arguments: JSON.stringify({ n: 1, code: "1.0" }) },
      }));
      messages.push({ role: "assistant", content: message.content, ...(calls ? { tool_calls: calls } : {}) });
      messages.push(
        calls ? { role: "tool", tool_call_id: calls[0]?.id as string, content: "24" } : { role: "user", content: "?" },
      );
    }
    expect(harness.session.forks).toEqual([]);
    messages[1] = { role: "assistant", content: "changed" };
    await whole({ messages: messages.slice(0, 2), tools: TOOLS }).catch(() => {});
    expect(harness.session.forks).toEqual([{ messageIndex: 1, field: "content" }]);
  });
});

describe("stop", () => {
  const text = "one two, three. four";
  it.each([
    ["three", "one two, "],
    ["e t", "on"],
    [["four", "two"], "one "],
    ["e. f", "one two, thre"],
    ["absent", text],
    ["one", ""],
    [", thr", "one two"],
  ])("cuts at %j", async (stop, content) => {
    for (const script of [
      saying(text),
      [...[...text].map((c) => tokenizer.idOf(c === " " ? "Ġ" : c) as number), END],
    ]) {
      await start(() => script);
      // Several tokens at once, so that some were sampled beyond the stop text.
      harness.engine.batch = 5;
      const reply = await whole({ stop });
      expect(reply.choices[0]?.message.content).toBe(content);
      expect(reply.choices[0]?.finish_reason).toBe("stop");
      expect((await streamed({ stop })).choices[0]?.message.content ?? "").toBe(content);
      // Recorded up to the token that completes the stop text, no further and no less.
      for (const record of harness.records) {
        const kept = tokenizer.decode(record.sampledIds);
        const stops = [stop].flat();
        const met = stops.some((one) => kept.includes(one));
        expect(met).toBe(content !== text);
        if (met) {
          const shorter = tokenizer.decode(record.sampledIds.slice(0, -1));
          expect(stops.some((one) => shorter.includes(one))).toBe(false);
        }
        expect(record.logprobs.length).toBe(record.sampledIds.length);
        expect(record.finishReason).toBe("stop");
        expect(record.dropReason).toBeUndefined();
      }
      expect(reply.usage?.completion_tokens).toBe(harness.records[0]?.sampledIds.length);
      await harness.server.stop();
    }
  });

  it.each([1, 3])("ends the choices that met it, of %i", async (n) => {
    const stopping = [...saying("a STOP").slice(0, -1), ...Array(200).fill(tokenizer.encode("x")[0])];
    await start((_call, choice) => (choice === 1 ? saying("no end ".repeat(30)) : stopping));
    const reply = await whole({ stop: "STOP", n });
    expect(reply.choices.map((choice) => choice.finish_reason)).toEqual(Array(n).fill("stop"));
    // Sampled, not recorded: what comes after a stop text would not be recorded anyway.
    const sampled = harness.engine.calls[0]?.sampled as number[];
    for (const choice of n === 1 ? [0] : [0, 2]) expect(sampled[choice]).toBeLessThan(10);
    if (n > 1) expect(sampled[1]).toBe(saying("no end ".repeat(30)).length);
  });

  it("ends each of several choices on its own", async () => {
    await start((_call, choice) => saying(`${"x ".repeat(choice * 3)}STOP and more`));
    const reply = await whole({ stop: "STOP", n: 3 });
    expect(reply.choices.map(({ message }) => message.content)).toEqual([0, 1, 2].map((i) => "x ".repeat(i * 3)));
  });

  it("works with tool calls in front of it", async () => {
    await start(() => saying(`${toolCall("f", "{}")}\nOBSERVATION: made up`));
    const reply = await whole({ stop: "OBSERVATION", tools: TOOLS });
    expect(reply.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
  });
});

describe("logprobs", () => {
  it("tell every token with its bytes, streamed or not, without the end token", async () => {
    const text = "né 24";
    const ids = [...[...Buffer.from(text)].map((byte) => byteId(byte)), END];
    await start(() => ids);
    const params = { logprobs: true, top_logprobs: 2 };
    const reply = await whole(params);
    const content = reply.choices[0]?.logprobs?.content as OpenAI.ChatCompletionTokenLogprob[];
    expect(content).toHaveLength(ids.length - 1);
    expect(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(text);
    for (const [i, entry] of content.entries()) {
      expect(entry.logprob).toBe(logprobOf(i));
      expect(entry.top_logprobs).toHaveLength(2);
      expect(entry.top_logprobs[0]).toMatchObject({ token: entry.token, bytes: entry.bytes });
    }
    const collected = (await streamed(params)).choices[0]?.logprobs?.content;
    expect(collected).toEqual(content);
    const without = await whole({ logprobs: true });
    expect(without.choices[0]?.logprobs?.content?.every(({ top_logprobs }) => top_logprobs.length === 0)).toBe(true);
  });

  const byteId = (byte: number) => {
    const id = Array.from({ length: 256 }, (_, i) => i).find((i) => tokenizer.bytes(i)[0] === byte);
    return id as number;
  };
});

describe("n", () => {
  it("gives choices in order, each recorded, streamed or not", async () => {
    await start((_call, choice) => saying(`choice ${choice} ${"x ".repeat(5 - choice)}`));
    for (const ask of [whole, streamed]) {
      const reply = await ask({ n: 4 });
      expect(reply.choices.map(({ index, message }) => [index, message.content])).toEqual(
        [0, 1, 2, 3].map((i) => [i, `choice ${i} ${"x ".repeat(5 - i)}`]),
      );
      const records = harness.records.splice(0);
      expect(records.map(({ choice, callId }) => [choice, callId])).toEqual([0, 1, 2, 3].map((i) => [i, reply.id]));
      expect(reply.usage?.completion_tokens).toBe(records.reduce((sum, record) => sum + record.sampledIds.length, 0));
    }
  });
});

describe("seeds", () => {
  const seedOf = (index: number) => harness.engine.calls[index]?.options.seed;
  const ask = (key: string, content: string, seed?: number) =>
    harness.client(key).chat.completions.create({
      model: "any",
      messages: [{ role: "user", content }],
      ...(seed === undefined ? {} : { seed }),
    });

  it("depend on session, prompt, repetition and request, not on arrival", async () => {
    await start(() => saying("x"));
    const seeds = async (key: string, session: bigint, order: string[]) => {
      harness.engine.calls.length = 0;
      harness.open(key, { seed: session, training: true });
      for (const content of order) await ask(key, content);
      const counted = new Map<string, bigint[]>();
      for (const [i, content] of order.entries())
        counted.set(content, [...(counted.get(content) ?? []), seedOf(i) as bigint]);
      return counted;
    };
    const forward = await seeds("one", 7n, ["a", "b", "a", "c"]);
    const shuffled = await seeds("two", 7n, ["c", "a", "a", "b"]);
    const other = await seeds("three", 8n, ["a", "b", "a", "c"]);
    expect(new Map([...forward].sort())).toEqual(new Map([...shuffled].sort()));
    const all = [...forward.values(), ...other.values()].flat();
    expect(new Set(all).size).toBe(all.length);
    for (const seed of all) expect(seed >= 0n && seed < 2n ** 64n).toBe(true);
  });

  it("keep calls with one prompt and different sampling apart, in any order", async () => {
    await start(() => saying("x"));
    const variants = [{ temperature: 0.5 }, { temperature: 0.75 }, { max_tokens: 5 }, { n: 2 }, { stop: "y" }];
    const seeds = async (key: string, order: object[]) => {
      harness.engine.calls.length = 0;
      harness.open(key, { training: true });
      const body = { model: "any", messages: user };
      for (const more of order) await harness.client(key).chat.completions.create({ ...body, ...more } as never);
      return new Map(order.map((more, i) => [JSON.stringify(more), seedOf(i)]).sort() as [string, bigint][]);
    };
    const forward = await seeds("one", variants);
    expect(await seeds("two", variants.toReversed())).toEqual(forward);
    expect(new Set(forward.values()).size).toBe(variants.length);
  });

  it("repeat where a request names one, except in training, where each sample is its own", async () => {
    await start(() => saying("x"));
    await ask("key", "a", 5);
    await ask("key", "a", 5);
    await ask("key", "a", 6);
    expect(seedOf(1)).toBe(seedOf(0));
    expect(seedOf(2)).not.toBe(seedOf(0));
    harness.open("train", { training: true });
    harness.open("train2", { training: true, seed: 2n });
    await ask("train", "a", 5);
    await ask("train", "a", 5);
    await ask("train2", "a", 5);
    const seeds = [3, 4, 5].map(seedOf);
    expect(new Set(seeds).size).toBe(3);
  });
});
