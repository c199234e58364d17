import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { REQUEST_FIELDS, type RequestField, type RequestFieldName } from "../../src/serve/request-fields.js";
import { Harness, saying, TOOLS, toolCall } from "./harness.js";

const docs = new URL("../../docs/server.md", import.meta.url);
const fields = Object.entries(REQUEST_FIELDS) as [RequestFieldName, RequestField][];

/** The table of docs/server.md, from the registry that the server checks requests against. */
function fieldTable(): string {
  const treatments = { honoured: "honoured", ignored: "ignored", refused: "refused with 400" };
  const rows = fields.map(
    ([name, { treatment, note, extension }]) =>
      `| \`${name}\`${extension ? " (extension)" : ""} | ${treatments[treatment]} | ${note} |`,
  );
  return ["| field | treatment | |", "|---|---|---|", ...rows].join("\n");
}

describe("docs/server.md", () => {
  it("has the table of the code (AJET_UPDATE_DOCS=1 writes it)", () => {
    const pattern = /(?<=<!-- request fields -->\n)[\s\S]*?(?=\n<!-- \/request fields -->)/;
    const text = readFileSync(docs, "utf8");
    if (process.env["AJET_UPDATE_DOCS"] === "1") writeFileSync(docs, text.replace(pattern, fieldTable()));
    expect(pattern.exec(readFileSync(docs, "utf8"))?.[0]).toBe(fieldTable());
  });

  it("covers every field that the openai package knows", () => {
    const types = readFileSync(
      new URL("../../node_modules/openai/resources/chat/completions/completions.d.ts", import.meta.url),
      "utf8",
    );
    const start = types.indexOf("export interface ChatCompletionCreateParamsBase");
    const body = types.slice(start, types.indexOf("\n}", start));
    const names = [...body.matchAll(/^ {4}(\w+)\??:/gm)].map(([, name]) => name as string);
    expect(names.length).toBeGreaterThan(30);
    const known = fields.filter(([, field]) => field.extension !== true).map(([name]) => name);
    expect([...known].sort()).toEqual([...names].sort());
  });
});

/** A value of each field that asks for something, and what must stand beside it. */
const SAMPLES: Record<RequestFieldName, { value: unknown; beside?: Record<string, unknown> }> = {
  messages: { value: [{ role: "user", content: "something else" }] },
  model: { value: "another" },
  audio: { value: { voice: "alloy", format: "mp3" } },
  frequency_penalty: { value: 0.5 },
  function_call: { value: "auto" },
  functions: { value: [{ name: "f" }] },
  logit_bias: { value: { "5": 10 } },
  logprobs: { value: true },
  max_completion_tokens: { value: 2 },
  max_tokens: { value: 2 },
  metadata: { value: { a: "b" } },
  modalities: { value: ["text", "audio"] },
  moderation: { value: { model: "omni-moderation-latest" } },
  n: { value: 2 },
  parallel_tool_calls: { value: false },
  prediction: { value: { type: "content", content: "x" } },
  presence_penalty: { value: 0.5 },
  prompt_cache_key: { value: "k" },
  prompt_cache_options: { value: {} },
  prompt_cache_retention: { value: "24h" },
  reasoning_effort: { value: "high" },
  response_format: { value: { type: "json_object" } },
  safety_identifier: { value: "s" },
  seed: { value: 7 },
  service_tier: { value: "flex" },
  stop: { value: "arg" },
  store: { value: true },
  stream: { value: true },
  stream_options: { value: { include_usage: true }, beside: { stream: true } },
  temperature: { value: 0.5 },
  tool_choice: { value: "none", beside: { tools: TOOLS } },
  tools: { value: TOOLS },
  top_logprobs: { value: 3, beside: { logprobs: true } },
  top_p: { value: 0.5 },
  user: { value: "u" },
  verbosity: { value: "low" },
  web_search_options: { value: {} },
  chat_template_kwargs: { value: { tools_in_user_message: true } },
  min_p: { value: 0.1 },
  repetition_penalty: { value: 1.1 },
  top_k: { value: 5 },
};

const NEUTRAL: Partial<Record<RequestFieldName, unknown>> = {
  frequency_penalty: 0,
  logit_bias: {},
  modalities: ["text"],
  presence_penalty: 0,
  repetition_penalty: 1,
  response_format: { type: "text" },
};

describe("each field is treated as the table says", () => {
  let harness: Harness;
  beforeAll(async () => {
    const { ChatTemplate } = await import("../../src/text/chat-template.js");
    // Shows whether variables and tools arrive, so that their effect can be seen.
    const template = "{{ messages[0].content }} {{ tools | tojson }} {{ tools_in_user_message }}";
    const chatTemplate = new ChatTemplate(template, { bosToken: "", eosToken: "" });
    harness = await Harness.start(() => saying(`text ${toolCall("f", '{"arg": 1}')}`), { chatTemplate });
  });
  afterAll(() => harness.server.stop());

  // All that a request makes visible: what the engine was asked for, and the response without its time.
  async function effect(
    body: Record<string, unknown>,
  ): Promise<{ status: number; seen: string; error: { param?: string } }> {
    harness.engine.calls.length = 0;
    harness.open("fresh");
    const response = await harness.post({ messages: [{ role: "user", content: "hi" }], ...body }, "fresh");
    const text = await response.text();
    await harness.server.close("fresh");
    const calls = harness.engine.calls.map(({ promptIds, options }) => {
      const { signal: _signal, onTokens: _onTokens, seed, ...rest } = options;
      return { promptIds: [...promptIds], seed: String(seed), ...rest };
    });
    const error = response.ok ? {} : (JSON.parse(text) as { error: { param: string } }).error;
    return { status: response.status, seen: JSON.stringify([calls, text.replaceAll(/"created":\d+/g, "")]), error };
  }

  it.each(fields)("%s", async (name, { treatment }) => {
    const { value, beside = {} } = SAMPLES[name];
    const without = await effect(beside);
    const given = await effect({ ...beside, [name]: value });
    expect(without.status).toBe(200);
    if (treatment === "refused") {
      expect(given.status).toBe(400);
      expect(given.error).toMatchObject({ param: name, code: "unsupported_parameter" });
      expect((await effect({ ...beside, [name]: null })).seen).toBe(without.seen);
      if (name in NEUTRAL) expect((await effect({ ...beside, [name]: NEUTRAL[name] })).seen).toBe(without.seen);
    } else {
      expect(given.status).toBe(200);
      if (treatment === "ignored") expect(given.seen).toBe(without.seen);
      else expect(given.seen).not.toBe(without.seen);
    }
  });

  it("has neutral values exactly where the code knows them", () => {
    const neutral = fields.filter(([, field]) => field.neutral !== undefined).map(([name]) => name);
    expect(Object.keys(NEUTRAL).sort()).toEqual(neutral.sort());
  });
});
