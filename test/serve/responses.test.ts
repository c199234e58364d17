import type OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Harness, saying, tokenizer, toolCall } from "./harness.js";

const CALL = toolCall("execute_python", '{"code": "print(24)"}');
const PARAMETERS = { type: "object", properties: { code: { type: "string" } } };
const RESPONSE_TOOLS = [
  { type: "function" as const, name: "execute_python", description: "Runs code", parameters: PARAMETERS, strict: null },
] as unknown as OpenAI.Responses.FunctionTool[];
const CHAT_TOOLS = [
  { type: "function" as const, function: { name: "execute_python", description: "Runs code", parameters: PARAMETERS } },
];

let harness: Harness;
let client: OpenAI;

beforeAll(async () => {
  harness = await Harness.start(({ promptIds }) => {
    const prompt = tokenizer.decode([...promptIds]);
    return saying(prompt.includes("tool_response") ? "It is 24." : `Let me see.\n${CALL}`);
  });
  client = harness.client();
});
beforeEach(() => {
  harness.records.length = 0;
});
afterAll(() => harness.server.stop());

const request = { model: "any", instructions: "Be brief.", input: "How many?", tools: RESPONSE_TOOLS };

/** Everything but the clock. */
function timeless({ created_at: _, ...response }: OpenAI.Responses.Response) {
  return JSON.parse(JSON.stringify(response));
}

describe("POST /v1/responses", () => {
  it("makes the prompt of the chat API", async () => {
    await client.responses.create(request);
    const messages = [
      { role: "system" as const, content: "Be brief." },
      { role: "user" as const, content: "How many?" },
    ];
    await client.chat.completions.create({ model: "any", messages, tools: CHAT_TOOLS });
    const [one, two] = harness.records;
    expect([...(one?.promptIds ?? [])]).toEqual([...(two?.promptIds ?? [])]);
  });

  it("gives text and calls as items, and goes on from the recorded tokens however they come back", async () => {
    const response = await client.responses.create(request);
    expect(response).toMatchObject({
      object: "response",
      status: "completed",
      output_text: "Let me see.",
      error: null,
    });
    expect(response.output.map(({ type }) => type)).toEqual(["message", "function_call"]);
    const call = response.output[1] as OpenAI.Responses.ResponseFunctionToolCall;
    expect(call).toMatchObject({ name: "execute_python", arguments: '{"code": "print(24)"}' });
    const first = harness.records[0];
    const recorded = [...(first?.promptIds ?? []), ...(first?.sampledIds ?? [])];
    const answer = { type: "function_call_output" as const, call_id: call.call_id, output: "24" };
    const question = { role: "user" as const, content: [{ type: "input_text" as const, text: "How many?" }] };
    const references = response.output.map(({ id }) => ({ type: "item_reference" as const, id: id as string }));
    const items = response.output as OpenAI.Responses.ResponseInputItem[];
    for (const said of [items, references]) {
      const next = await client.responses.create({ ...request, input: [question, ...said, answer] });
      expect(next.output_text).toBe("It is 24.");
      const { promptIds = new Int32Array() } = harness.records.at(-1) ?? {};
      expect([...promptIds.slice(0, recorded.length)]).toEqual(recorded);
    }
    expect(harness.session.forks).toEqual([]);
  });

  it("streams the same response", async () => {
    const seeded = { ...request, model: "streamed" };
    const whole = await client.responses.create(seeded);
    const stream = client.responses.stream(seeded);
    const types: string[] = [];
    for await (const event of stream) types.push(event.type);
    const last = await stream.finalResponse();
    expect(types.slice(0, 2)).toEqual(["response.created", "response.in_progress"]);
    expect(types.at(-1)).toBe("response.completed");
    const texts = (response: OpenAI.Responses.Response) =>
      timeless(response).output.map(({ type, content, name, arguments: args }: Record<string, never>) =>
        type === "message" ? (content as { text: string }[]).map(({ text }) => text) : [name, args],
      );
    expect(texts(last)).toEqual(texts(whole));
    expect(timeless(last).usage).toEqual(timeless(whole).usage);
  });

  it("says when it was cut", async () => {
    const response = await client.responses.create({ ...request, max_output_tokens: 2 });
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  });

  it.each([
    [{ previous_response_id: "resp_1" }, "previous_response_id"],
    [{ input: [{ type: "item_reference", id: "msg_unknown" }] }, "input[0].id"],
    [{ input: [{ type: "computer_call" }] }, "input[0].type"],
    [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
    [{ text: { format: { type: "json_object" } } }, "text.format"],
    [{ input: 5 }, "input"],
  ])("refuses %j", async (more, param) => {
    const refused = client.responses.create({ ...request, ...more } as never);
    await expect(refused).rejects.toMatchObject({ status: 400, param });
  });
});

describe("the Vercel AI SDK", async () => {
  const sdk = await Promise.all([import("ai"), import("@ai-sdk/openai")]).catch(() => undefined);
  if (sdk === undefined) console.warn("skipped: the packages ai and @ai-sdk/openai are not installed");

  it.skipIf(sdk === undefined).each(["chat", "default"])(
    "runs its tool loop through the %s provider",
    async (which) => {
      const [{ generateText, jsonSchema, stepCountIs, streamText, tool }, { createOpenAI }] = sdk as NonNullable<
        typeof sdk
      >;
      const openai = createOpenAI({ baseURL: harness.server.baseUrl, apiKey: "key" });
      const model = which === "chat" ? openai.chat("ajet") : openai("ajet");
      const codes: string[] = [];
      const execute = async ({ code }: { code: string }) => {
        codes.push(code);
        return "24";
      };
      const inputSchema = jsonSchema<{ code: string }>(PARAMETERS as never);
      const tools = { execute_python: tool({ description: "Runs code", inputSchema, execute }) };
      const common = { model, tools, stopWhen: stepCountIs(3), maxRetries: 0 };
      const whole = await generateText({ ...common, prompt: `How many, ${which}?` });
      expect(whole.text).toBe("It is 24.");
      const stream = streamText({ ...common, prompt: `How many, ${which}, streamed?` });
      expect(await stream.text).toContain("It is 24.");
      expect(codes).toEqual(["print(24)", "print(24)"]);
      const { records } = harness;
      expect(records).toHaveLength(4);
      for (const [first, second] of [records.slice(0, 2), records.slice(2)]) {
        const before = [...(first?.promptIds ?? []), ...(first?.sampledIds ?? [])];
        expect([...(second?.promptIds.slice(0, before.length) ?? [])]).toEqual(before);
      }
      expect(harness.session.forks).toEqual([]);
    },
  );
});
