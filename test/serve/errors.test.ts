import { connect } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/native/errors.js";
import { startServer } from "../../src/serve/server.js";
import { chatTemplate, Harness, saying, sessionOptions, tokenizer, until } from "./harness.js";

let harness: Harness;
beforeAll(async () => {
  harness = await Harness.start(() => saying("x"), { maxBodyBytes: 64 * 1024 });
  harness.open("train", { training: true });
});
afterAll(() => harness.server.stop());

const user = [{ role: "user", content: "hi" }];
const valid = { model: "any", messages: user };

async function expectError(response: Response, status: number, error: Record<string, unknown>): Promise<void> {
  const body = (await response.json()) as { error: Record<string, unknown> };
  expect(response.status, JSON.stringify(body)).toBe(status);
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  expect(Object.keys(body)).toEqual(["error"]);
  expect(Object.keys(body.error).sort()).toEqual(["code", "message", "param", "type"]);
  expect(body.error["message"]).toBeTypeOf("string");
  expect(body.error).toMatchObject(error);
}

describe("401", () => {
  it.each([
    ["missing", null],
    ["unknown", "nobody"],
  ])("for a key that is %s", async (_case, key) => {
    await expectError(await harness.post(valid, key), 401, { type: "invalid_request_error", code: "invalid_api_key" });
    await expectError(await harness.fetch("/v1/models", { key }), 401, { code: "invalid_api_key" });
  });

  it("for a revoked key, as the library's AuthenticationError", async () => {
    harness.open("short");
    await harness.client("short").chat.completions.create(valid as never);
    await harness.server.close("short");
    const call = harness.client("short").chat.completions.create(valid as never);
    await expect(call).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
  });

  it("comes before the body is read", async () => {
    await expectError(await harness.post("not json", "nobody"), 401, {});
    await expectError(await harness.post("x".repeat(100_000), "nobody"), 401, {});
  });

  it("for another scheme than Bearer", async () => {
    const headers = { authorization: "Basic key" };
    await expectError(await harness.fetch("/v1/models", { key: null, headers }), 401, {});
  });
});

describe("404 and 405", () => {
  it.each(["/", "/v1/completions", "/v1/chat/completions/x", "/v1/embeddings"])("%s is unknown", async (path) => {
    await expectError(await harness.fetch(path, { method: "POST" }), 404, { code: "unknown_url" });
  });

  it.each([
    ["GET", "/v1/chat/completions", "POST"],
    ["POST", "/v1/models", "GET"],
    ["DELETE", "/health", "GET"],
  ])("%s %s is not allowed", async (method, path, allowed) => {
    const response = await harness.fetch(path, { method });
    expect(response.headers.get("allow")).toBe(allowed);
    await expectError(response, 405, { code: "method_not_supported" });
  });

  it("a URL that cannot be decoded is a 400", async () => {
    await expectError(await harness.fetch("/v1/models/%zz"), 400, { type: "invalid_request_error" });
  });
});

describe("413 and 415", () => {
  it("for a body above the limit", async () => {
    const messages = [{ role: "user", content: "x".repeat(65 * 1024) }];
    await expectError(await harness.post({ messages }), 413, { code: "body_too_large" });
  });

  it("for another content type", async () => {
    const response = await harness.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: JSON.stringify(valid),
    });
    await expectError(response, 415, { code: "unsupported_media_type" });
  });
});

describe("400", () => {
  it.each(["", "{", '{"messages": [}', "nul", '"text"', "[]", "null", "3"])("for the body %j", async (body) => {
    await expectError(await harness.post(body), 400, { type: "invalid_request_error" });
  });

  const part = (type: string) => ({ role: "user", content: [{ type: "text", text: "a" }, { type }] });
  const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };
  const tool = { type: "function", function: { name: "f" } };
  const CASES: [string, Record<string, unknown>, RegExp?][] = [
    ["messages", { messages: undefined }],
    ["messages", { messages: [] }],
    ["messages", { messages: "hi" }],
    ["messages[0]", { messages: ["hi"] }],
    ["messages[0].role", { messages: [{ content: "hi" }] }],
    ["messages[1].role", { messages: [...user, { role: "robot", content: "hi" }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 3 }] }],
    ["messages[0].content[1].type", { messages: [part("image_url")] }, /text only/],
    ["messages[0].content[1].type", { messages: [part("input_audio")] }],
    ["messages[0].content[1].text", { messages: [part("text")] }],
    ["messages[0].tool_call_id", { messages: [{ role: "tool", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "assistant" }] }],
    ["messages[0].tool_calls", { messages: [{ role: "assistant", tool_calls: {} }] }],
    ["messages[0].tool_calls[0].id", { messages: [{ role: "assistant", tool_calls: [{ ...call, id: 1 }] }] }],
    [
      "messages[0].tool_calls[0].type",
      { messages: [{ role: "assistant", tool_calls: [{ ...call, type: "custom" }] }] },
    ],
    [
      "messages[0].tool_calls[0].function.arguments",
      { messages: [{ role: "assistant", tool_calls: [{ ...call, function: { name: "f", arguments: {} } }] }] },
    ],
    ["messages[0].function_call", { messages: [{ role: "assistant", content: "", function_call: { name: "f" } }] }],
    ["model", { model: 3 }],
    ["temperature", { temperature: 2.1 }],
    ["temperature", { temperature: "1" }, /received "1"/],
    ["top_p", { top_p: 0 }],
    ["top_k", { top_k: 1.5 }],
    ["min_p", { min_p: 1 }],
    ["n", { n: 0 }],
    ["n", { n: 129 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_completion_tokens", { max_completion_tokens: -1 }],
    ["seed", { seed: 1.5 }],
    ["stop", { stop: ["a", "b", "c", "d", "e"] }],
    ["stop", { stop: "" }],
    ["stop", { stop: [1] }],
    ["logprobs", { logprobs: 1 }],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
    ["top_logprobs", { top_logprobs: 2 }, /needs `logprobs`/],
    ["stream", { stream: "yes" }],
    ["stream_options", { stream_options: { include_usage: true } }, /needs `stream`/],
    ["stream_options.include_usage", { stream: true, stream_options: { include_usage: 1 } }],
    ["tools", { tools: {} }],
    ["tools[0].type", { tools: [{ type: "custom", custom: { name: "f" } }] }],
    ["tools[0].function.name", { tools: [{ type: "function", function: {} }] }],
    ["tools[1].function.parameters", { tools: [tool, { type: "function", function: { name: "f", parameters: "x" } }] }],
    ["tool_choice", { tools: [tool], tool_choice: "required" }, /cannot be forced/],
    ["tool_choice", { tools: [tool], tool_choice: { type: "function", function: { name: "f" } } }, /cannot be forced/],
    ["tool_choice", { tool_choice: "always" }],
    ["chat_template_kwargs", { chat_template_kwargs: { messages: [] } }],
    ["max_token", { max_token: 3 }, /did you mean `max_tokens`/],
    ["completely_unknown", { completely_unknown: 3 }],
  ];
  it.each(CASES)("names %s in %j", async (param, fields, message = /./) => {
    const response = await harness.post({ ...valid, ...fields });
    await expectError(response, 400, { param, type: "invalid_request_error", message: expect.stringMatching(message) });
    // The same before a stream begins.
    if (!("stream" in fields || "stream_options" in fields)) {
      await expectError(await harness.post({ ...valid, stream: true, ...fields }), 400, { param });
    }
  });

  it("is the library's BadRequestError with its param", async () => {
    const call = harness.client().chat.completions.create({ ...valid, temperature: 3 } as never);
    await expect(call).rejects.toMatchObject({ status: 400, param: "temperature", type: "invalid_request_error" });
    await expect(call).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });

  it.each([{ top_p: 0.9 }, { top_k: 5 }, { min_p: 0.1 }])("refuses %j in training, with the reason", async (field) => {
    const [param] = Object.keys(field);
    await expectError(await harness.post({ ...valid, ...field }, "train"), 400, {
      param,
      code: "unsupported_in_training",
      message: expect.stringMatching(/trainer/),
    });
    expect((await harness.post({ ...valid, ...field })).status).toBe(200);
  });

  it("accepts the values that change nothing in training", async () => {
    const neutral = { top_p: 1, top_k: -1, min_p: 0, presence_penalty: 0, frequency_penalty: 0, logit_bias: {} };
    expect((await harness.post({ ...valid, ...neutral }, "train")).status).toBe(200);
  });

  it("gives the numbers where the prompt does not fit the context", async () => {
    harness.engine.maxContext = 20;
    const response = await harness.post({ messages: [{ role: "user", content: "word ".repeat(30) }] });
    harness.engine.maxContext = 4096;
    const length = tokenizer.encode(chatTemplate.render([{ role: "user", content: "word ".repeat(30) }])).length;
    await expectError(response, 400, {
      param: "messages",
      code: "context_length_exceeded",
      message: expect.stringMatching(new RegExp(`20 tokens.* ${length},`)),
    });
  });

  it("cuts max_tokens to what the context leaves", async () => {
    const prompt = tokenizer.encode(chatTemplate.render([{ role: "user", content: "hi" }])).length;
    harness.engine.maxContext = prompt + 5;
    expect((await harness.post({ ...valid, max_tokens: 100 })).status).toBe(200);
    harness.engine.maxContext = 4096;
    expect(harness.engine.calls.at(-1)?.options.maxTokens).toBe(5);
  });

  it("carries the template's own words", async () => {
    const other = await Harness.start(() => saying("x"), { chatTemplate: await refusingTemplate() });
    const response = await other.post(valid);
    await expectError(response, 400, { param: "messages", code: "template_error", message: "Roles must alternate" });
    await other.server.stop();
  });

  async function refusingTemplate() {
    const { ChatTemplate } = await import("../../src/text/chat-template.js");
    return new ChatTemplate("{{ raise_exception('Roles must alternate') }}", tokenizer);
  }
});

describe("500", () => {
  it("in the API's shape, told to onError, streamed too", async () => {
    const broken = await Harness.start(() => {
      throw new Error("the engine broke");
    });
    await expectError(await broken.post(valid), 500, {
      type: "server_error",
      message: expect.stringMatching(/engine broke/),
    });
    const stream = await broken.post({ ...valid, stream: true });
    const events = (await stream.text()).trim().split("\n\n");
    expect(JSON.parse((events.at(-1) as string).replace("data: ", ""))).toMatchObject({
      error: { type: "server_error", message: expect.stringMatching(/engine broke/) },
    });
    const iterate = async () => {
      for await (const _ of (await broken
        .client()
        .chat.completions.create({ ...valid, stream: true } as never)) as never)
        void _;
    };
    await expect(iterate()).rejects.toThrow(/engine broke/);
    expect(broken.errors.map((error) => (error as Error).message)).toEqual(Array(3).fill("the engine broke"));
    await broken.server.stop();
  });
});

describe("a broken HTTP request", () => {
  it("leaves the server alive", async () => {
    const socket = connect(harness.server.port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data));
    socket.write("NONSENSE\r\n\r\n");
    await until(() => answer !== "" || socket.destroyed);
    socket.destroy();
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
    expect((await harness.post(valid)).status).toBe(200);
  });
});

describe("other routes", () => {
  it("list the model, under any name", async () => {
    const models = await harness.client().models.list();
    expect(models.data).toMatchObject([{ id: "tiny-chat", object: "model", owned_by: "ajet", weights_version: 3 }]);
    expect(await harness.client().models.retrieve("org/any-name")).toMatchObject({
      id: "org/any-name",
      object: "model",
    });
  });

  it("answer /health without a key", async () => {
    const response = await harness.fetch("/health", { key: null });
    expect(await response.json()).toEqual({ status: "ok", model: "tiny-chat", weights_version: 3, pending: 0 });
  });

  it("count on /metrics", async () => {
    const counted = await Harness.start(() => saying("one two"));
    await counted.post(valid);
    await counted.post({ ...valid, temperature: 9 });
    await counted.post({ ...valid, stream: true }).then((response) => response.text());
    const response = await counted.fetch("/metrics", { key: null });
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    const text = await response.text();
    const value = (name: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(`${name} `))
          ?.split(" ")[1],
      );
    expect(value('ajet_requests_total{route="/v1/chat/completions",status="200"}')).toBe(2);
    expect(value('ajet_requests_total{route="/v1/chat/completions",status="400"}')).toBe(1);
    expect(value('ajet_tokens_total{kind="completion"}')).toBe(2 * saying("one two").length);
    expect(value('ajet_tokens_total{kind="prompt"}')).toBe(2 * (counted.engine.calls[0]?.promptIds.length as number));
    expect(value("ajet_request_seconds_count")).toBe(2);
    expect(value("ajet_weights_version")).toBe(3);
    expect(value("ajet_requests_pending")).toBe(0);
    await counted.server.stop();
  });
});

describe("open and listen", () => {
  it("refuse a key that is open, and training defaults that cannot be trained", () => {
    expect(() => harness.open("key")).toThrow(ConfigError);
    expect(() => harness.open("")).toThrow(ConfigError);
    const defaults = { ...sessionOptions("x").defaults, topP: 0.9 };
    expect(() => harness.open("bad", { training: true, defaults })).toThrow(/top_p 1/);
  });

  it("name a port that is taken", async () => {
    const options = { engine: harness.engine, tokenizer, chatTemplate, modelName: "x", port: harness.server.port };
    await expect(startServer(options)).rejects.toThrow(new RegExp(`127.0.0.1:${harness.server.port}`));
  });

  it("listen on 127.0.0.1 unless told otherwise", () => {
    expect(harness.server.baseUrl).toBe(`http://127.0.0.1:${harness.server.port}/v1`);
  });
});
