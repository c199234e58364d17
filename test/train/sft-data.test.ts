import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FileError } from "../../src/native/errors.js";
import { loadChatTemplate } from "../../src/text/chat-template.js";
import { loadTokenizer } from "../../src/text/tokenizer.js";
import { type Conversation, readConversations, supervisedCalls } from "../../src/train/sft-data.js";
import { MODEL, temporaryFolder } from "../cli/ajet.js";

const folder = temporaryFolder();

async function readFrom(file: string): Promise<Conversation[]> {
  const conversations: Conversation[] = [];
  for await (const conversation of readConversations(file)) conversations.push(conversation);
  return conversations;
}

function read(text: string): Promise<Conversation[]> {
  const file = join(folder, "data.jsonl");
  writeFileSync(file, text);
  return readFrom(file);
}

const user = { role: "user", content: "What is 2 + 3?" };
const answer = { role: "assistant", content: "5" };
const calling = (written: unknown) => ({
  role: "assistant",
  content: null,
  tool_calls: [{ id: "call_0", type: "function", function: { name: "run", arguments: written } }],
});

describe("readConversations", () => {
  it("takes arguments of tool calls as an object or as its JSON text", async () => {
    const lines = [{ code: "print(2 + 3)" }, '{"code": "print(2 + 3)"}'].map((written) =>
      JSON.stringify({ messages: [user, calling(written)] }),
    );
    const [first, second] = await read(lines.join("\n"));
    expect(first?.messages[1]?.tool_calls?.[0]?.function).toEqual({ name: "run", arguments: { code: "print(2 + 3)" } });
    expect(second?.messages).toEqual(first?.messages);
  });

  it("takes null for what is not there, a byte order mark, and empty lines", async () => {
    const record = { messages: [user, { ...answer, tool_calls: null }], tools: null };
    expect(await read(`\ufeff${JSON.stringify(record)}\r\n\n${JSON.stringify({ messages: [answer] })}`)).toEqual([
      { place: expect.stringMatching(/:1$/), messages: [user, answer] },
      { place: expect.stringMatching(/:3$/), messages: [answer] },
    ]);
  });

  it.each([
    ["{", /: not valid JSON/],
    ["null", /: expected an object but received null/],
    ['{"conversations":[]}', /: expected `messages` with at least one assistant message/],
    ['{"messages":[]}', /: expected `messages` with at least one assistant message/],
    [JSON.stringify({ messages: [answer], tools: {} }), /: expected `tools` to be a list/],
    [JSON.stringify({ messages: [null, answer] }), /: messages\[0\]: expected an object but received null/],
    [JSON.stringify({ messages: [answer, { content: "x" }] }), /: messages\[1\]\.role: expected a text .* undefined/],
    [JSON.stringify({ messages: [{ ...user, content: [] }, answer] }), /: messages\[0\]\.content: expected a text/],
    [JSON.stringify({ messages: [{ ...answer, tool_calls: {} }] }), /: messages\[0\]\.tool_calls: expected a list/],
    [JSON.stringify({ messages: [{ ...answer, tool_calls: [{ name: "run" }] }] }), /tool_calls\[0\]: .*`function`/],
    [JSON.stringify({ messages: [calling("{code")] }), /function\.arguments: expected an object.*received "{code"/],
    [JSON.stringify({ messages: [calling(5)] }), /function\.arguments: expected an object.*received 5/],
  ])("names file and line of %s", async (line, message) => {
    const reading = read(`${JSON.stringify({ messages: [answer] })}\n${line}\n`);
    await expect(reading).rejects.toThrow(FileError);
    await expect(reading).rejects.toThrow(/data\.jsonl:2: /);
    await expect(reading).rejects.toThrow(message);
  });

  it("names a file that cannot be read", async () => {
    await expect(readFrom(folder)).rejects.toThrow(`Cannot read the conversations in ${folder}: EISDIR`);
  });
});

describe("supervisedCalls", () => {
  it("names the line that the chat template refuses", async () => {
    const tokenizer = await loadTokenizer(MODEL);
    writeFileSync(join(folder, "chat_template.jinja"), "{{ raise_exception('roles must alternate') }}");
    const template = await loadChatTemplate(folder, tokenizer);
    const [conversation] = await read(JSON.stringify({ messages: [user, answer] }));
    expect(() => supervisedCalls(conversation as Conversation, template, tokenizer)).toThrow(
      /data\.jsonl:1: the chat template refuses it: roles must alternate/,
    );
  });
});
