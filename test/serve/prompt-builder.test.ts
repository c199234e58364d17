import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { type ConversationMessage, readMessages } from "../../src/serve/chat-messages.js";
import { type BuiltPrompt, PromptBuilder } from "../../src/serve/prompt-builder.js";
import { ReplyAssembler } from "../../src/serve/reply-assembler.js";
import { messageBody } from "../../src/serve/response-bodies.js";
import { SessionMessages } from "../../src/serve/session-messages.js";
import { ChatTemplate, loadChatTemplate } from "../../src/text/chat-template.js";
import type { JsonObject } from "../../src/text/json-file.js";
import { loadTokenizer } from "../../src/text/tokenizer.js";

const fixtures = new URL("../text/fixtures/", import.meta.url).pathname;
const tokenizer = await loadTokenizer(`${fixtures}tiny-chat`);
const chatMl = await loadChatTemplate(`${fixtures}tiny-chat`, tokenizer);
const reasoning = new ChatTemplate(readFileSync(`${fixtures}reasoning.jinja`, "utf8"), tokenizer);
const end = tokenizer.endIds[0] as number;
const otherEnd = tokenizer.endIds[1] as number;
const tools: JsonObject[] = [
  { type: "function", function: { name: "execute_python", parameters: { type: "object" } } },
];

/** The ids of `text`, one per byte: what the tokenizer itself would never make of it. */
function byBytes(text: string): number[] {
  const ids = new Map(Array.from({ length: 256 }, (_, id) => [tokenizer.bytes(id)[0] as number, id]));
  return [...Buffer.from(text)].map((byte) => ids.get(byte) as number);
}

/** An agent's conversation against a prompt builder: what the server does, without the server. */
class Talk {
  readonly replies = new SessionMessages();
  readonly prompts: BuiltPrompt[] = [];
  messages: JsonObject[] = [{ role: "system", content: "Be brief." }];
  private readonly builder: PromptBuilder;
  private turns = 0;
  constructor(
    template = chatMl,
    private readonly toolList = tools,
    private readonly templateVariables?: JsonObject,
  ) {
    this.builder = new PromptBuilder(tokenizer, template);
  }

  build(messages = this.messages, toolList = this.toolList): BuiltPrompt {
    const { templateVariables } = this;
    return this.builder.build({ messages: readMessages(messages), tools: toolList, templateVariables }, this.replies);
  }

  /** Asks, "samples" `ids`, and appends the message as an OpenAI client would. */
  turn(message: JsonObject, ids: readonly number[]): ConversationMessage {
    this.messages.push(message);
    const prompt = this.build();
    this.prompts.push(prompt);
    const turn = this.turns++;
    const toolCallId = (index: number) => `call_${turn}_${index}`;
    const assembler = new ReplyAssembler({ tokenizer, stop: [], parseTools: true, toolCallId });
    for (const id of ids) assembler.push(id);
    assembler.end();
    const reply = assembler.message();
    this.replies.remember({
      conversation: prompt.conversation,
      messages: readMessages(this.messages),
      reply,
      promptIds: prompt.promptIds,
      sampledIds: Int32Array.from(ids),
    });
    this.messages.push(JSON.parse(JSON.stringify(messageBody(reply))) as JsonObject);
    return reply;
  }

  answers(): JsonObject[] {
    const calls = (this.messages.at(-1)?.["tool_calls"] ?? []) as { id: string }[];
    return calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "24" }));
  }
}

const python = (args: string) => `<tool_call>\n{"name": "execute_python", "arguments": ${args}}\n</tool_call>`;
const user = (content: string) => ({ role: "user", content });

/** Everything that a model may do to its own message, as ids. */
const REPLIES: Record<string, number[]> = {
  "plain text": [...tokenizer.encode("The answer is 24."), end],
  "a tool call": [...tokenizer.encode(`Let me compute.\n${python('{"code": "print(24)"}')}`), end],
  "a tool call with 1.0, odd spacing and key order": [
    ...tokenizer.encode(`${python('{ "z":1.0,"a" : [1e3,  -0.0], "code": "\\u00e9"}')}`),
    end,
  ],
  "two tool calls and white space": [...tokenizer.encode(` \n${python("{}")}\n\n${python('{"a": 1}')}\n \n`), end],
  "white space only": [...tokenizer.encode(" \n\n"), end],
  "nothing but the end": [end],
  "a malformed call": [...tokenizer.encode("<tool_call>\n{'name': 1}\n</tool_call> \n"), end],
  "a malformed and a good call": [...tokenizer.encode(`<tool_call>{</tool_call>\n${python("{}")}`), end],
  "an open call, cut by length": tokenizer.encode('<tool_call>\n{"name": "execute_py'),
  "text cut by length": tokenizer.encode("The answ"),
  unicode: [...tokenizer.encode("naïve 日本 😀 e\u0301 \u00a0\u200b"), end],
  "half a character, cut by length": byBytes("ab😀").slice(0, 4),
  "bytes that are no UTF-8": [...byBytes("a"), tokenizer.idOf("ÿ") as number, ...byBytes("b"), end],
  "tokens that would be tokenised differently": [...byBytes("The total is 24."), end],
  "a call in single bytes": [...byBytes(python('{"code": "print(1)"}')), end],
  "decomposed accents that NFC would join": [...byBytes("e\u0301"), end],
  "another end token": [...tokenizer.encode("Done"), otherEnd],
  "control tokens inside": [...tokenizer.encode("a<|im_start|>b"), end],
  "text like the sentinel": [...tokenizer.encode("AJETREPLY0X2X"), end],
};

describe("follow-up prompts", () => {
  it.each(Object.keys(REPLIES))("start with the recorded ids after %s", (name) => {
    const talk = new Talk();
    const ids = REPLIES[name] as number[];
    talk.turn(user("How many apples?"), ids);
    for (const next of [...talk.answers(), user("Sure?")]) talk.messages.push(next);
    const { promptIds, forks } = talk.build();
    const recorded = [...(talk.prompts[0] as BuiltPrompt).promptIds, ...ids];
    expect([...promptIds.slice(0, recorded.length)]).toEqual(recorded);
    expect(forks).toEqual([]);
    // What follows is the template's own text: its end of the turn, unless the model wrote one.
    const rest = tokenizer.encode(renderedRest(talk.messages));
    const ended = tokenizer.endIds.includes(ids.at(-1) as number);
    expect([...promptIds.slice(recorded.length)]).toEqual(ended ? rest.slice(1) : rest);
    expect(rest[0]).toBe(end);
  });

  function renderedRest(messages: readonly JsonObject[]): string {
    const index = messages.findLastIndex((message) => message["role"] === "assistant");
    const plain = messages.map((message, i) => (i === index ? { role: "assistant", content: "%" } : message));
    const text = chatMl.render(plain as never, { tools });
    return text.slice(text.lastIndexOf("assistant\n%") + "assistant\n%".length);
  }

  it("keep every turn of a long conversation as a prefix of the next", () => {
    const talk = new Talk();
    let previous: number[] = [];
    for (const [name, ids] of Object.entries(REPLIES)) {
      const answers = talk.answers();
      talk.messages.push(...answers.slice(0, -1));
      talk.turn(answers.at(-1) ?? user(name), ids);
      const { promptIds, forks } = talk.prompts.at(-1) as BuiltPrompt;
      expect([...promptIds.slice(0, previous.length)], name).toEqual(previous);
      expect(forks).toEqual([]);
      previous = [...promptIds, ...ids];
    }
  });

  it("do not depend on how a client writes arguments, nulls, ids and parts", () => {
    const ids = REPLIES["a tool call with 1.0, odd spacing and key order"] as number[];
    const talk = new Talk();
    talk.turn(user("q"), ids);
    const sent = talk.messages.at(-1) as { tool_calls: { id: string; function: { arguments: string } }[] };
    const [call] = sent.tool_calls as [(typeof sent.tool_calls)[number]];
    const rewritten = JSON.stringify({ code: "é", a: [1000, 0], z: 1 });
    expect(rewritten).not.toBe(call.function.arguments);
    const base = { ...sent, content: undefined };
    const variants: JsonObject[] = [
      { ...base, tool_calls: [{ ...call, function: { ...call.function, arguments: rewritten } }] },
      { ...base, content: "" },
      { ...base, content: null, refusal: null, annotations: [] },
      { ...base, tool_calls: [{ ...call, id: "renamed" }] },
    ];
    const expected = talk.build([...talk.messages, ...talk.answers()]);
    for (const variant of variants) {
      const id = (variant["tool_calls"] as { id: string }[])[0]?.id;
      const built = talk.build([
        ...talk.messages.slice(0, -1),
        variant,
        { role: "tool", tool_call_id: id, content: "24" },
      ]);
      expect(built).toEqual(expected);
    }
    talk.turn({ role: "tool", tool_call_id: call.id, content: "24" }, REPLIES["plain text"] as number[]);
    const parts = [
      ...talk.messages.slice(0, -1),
      { role: "assistant", content: [{ type: "text", text: "The answer is 24." }] },
    ];
    expect(talk.build([...parts, user("ok")])).toEqual(talk.build([...talk.messages, user("ok")]));
  });

  it("tell replies of equal text apart by their tool-call ids", () => {
    const talk = new Talk();
    const once = REPLIES["a call in single bytes"] as number[];
    talk.turn(user("q"), once);
    const first = [...talk.messages];
    talk.messages = talk.messages.slice(0, 1);
    const again = [...tokenizer.encode(python('{"code": "print(1)"}')), end];
    expect(again).not.toEqual(once);
    talk.turn(user("q"), again);
    const endsWith = (messages: JsonObject[], ids: readonly number[]) => {
      const prompt = talk.build([...messages, user("go on")]).promptIds;
      const start = (talk.prompts[0] as BuiltPrompt).promptIds.length;
      expect([...prompt.slice(start, start + ids.length)]).toEqual(ids);
    };
    endsWith(first, once);
    endsWith(talk.messages, again);
  });

  it("stay as they are when another choice says the same in other tokens", () => {
    const talk = new Talk();
    talk.turn(user("q"), REPLIES["tokens that would be tokenised differently"] as number[]);
    const messages = [...talk.messages, user("go on")];
    const before = talk.build(messages);
    talk.messages = talk.messages.slice(0, 1);
    talk.turn(user("q"), [...tokenizer.encode("The total is 24."), end]);
    expect(talk.build(messages)).toEqual(before);
  });

  it("keep the prefix where the template itself would not", () => {
    // This template drops the reasoning of earlier turns and its empty block from the history.
    const talk = new Talk(reasoning, [], { enable_thinking: false });
    const ids = [...tokenizer.encode("<think>\nhm\n</think>\n\nSo 24."), end];
    talk.turn(user("q"), ids);
    talk.messages.push(user("Sure?"));
    const { promptIds, forks } = talk.build();
    const recorded = [...(talk.prompts[0] as BuiltPrompt).promptIds, ...ids];
    expect([...promptIds.slice(0, recorded.length)]).toEqual(recorded);
    expect(forks).toEqual([]);
  });

  it("are plain renderings where nothing is recorded", () => {
    const talk = new Talk();
    const call = { id: "x", type: "function", function: { name: "execute_python", arguments: '{"a":1}' } };
    const messages = [
      user("one"),
      { role: "assistant", content: "own words" },
      user("two"),
      { role: "assistant", content: "", tool_calls: [call] },
      { role: "tool", tool_call_id: "x", content: "r" },
    ];
    const { promptIds, forks } = talk.build(messages);
    const parsed = { ...call, function: { name: "execute_python", arguments: { a: 1 } } };
    const rendered = messages.map((message) =>
      "tool_calls" in message ? { ...message, tool_calls: [parsed] } : message,
    );
    expect([...promptIds]).toEqual(tokenizer.encode(chatMl.render(rendered as never, { tools })));
    expect(forks).toEqual([]);
  });
});

describe("forks", () => {
  let talk: Talk;
  beforeEach(() => {
    talk = new Talk();
    talk.turn(user("one"), REPLIES["a tool call"] as number[]);
    talk.messages.push(...talk.answers());
    talk.turn(user("two"), REPLIES["plain text"] as number[]);
    talk.messages.push(user("three"));
  });
  const edited = (index: number, change: (message: JsonObject) => void): JsonObject[] => {
    const messages = structuredClone(talk.messages);
    change(messages[index] as JsonObject);
    return messages;
  };
  const forksOf = (messages: JsonObject[], toolList = tools) =>
    talk.build(messages, toolList).forks.map(({ messageIndex, field }) => ({ messageIndex, field }));
  const setContent = (content: string) => (message: JsonObject) => {
    message["content"] = content;
  };
  const calls = (message: JsonObject) => message["tool_calls"] as { function: { name: string; arguments: string } }[];

  it("name the message and the field that a client changed", () => {
    expect(forksOf(talk.messages)).toEqual([]);
    const rename = edited(2, (message) => {
      (calls(message)[0] as { function: { name: string } }).function.name = "other";
    });
    expect(forksOf(rename)[0]).toEqual({ messageIndex: 2, field: "tool_calls[0].function.name" });
    const argument = edited(2, (message) => {
      (calls(message)[0] as { function: { arguments: string } }).function.arguments = '{"code": "print(25)"}';
    });
    expect(forksOf(argument)[0]).toEqual({ messageIndex: 2, field: "tool_calls[0].function.arguments" });
    expect(forksOf(edited(2, setContent("Let me compute"))).at(0)).toEqual({
      messageIndex: 2,
      field: "content",
    });
    expect(forksOf(edited(2, (message) => void delete message["tool_calls"])).at(0)).toEqual({
      messageIndex: 2,
      field: "tool_calls",
    });
    expect(forksOf(edited(5, setContent("The answer is 25.")))).toEqual([{ messageIndex: 5, field: "content" }]);
  });

  it("name an earlier message where a reply stands in another conversation", () => {
    expect(forksOf(edited(0, setContent("Be kind.")))[0]).toEqual({
      messageIndex: 0,
      field: "content",
    });
    expect(forksOf(talk.messages.slice(1))[0]).toEqual({ messageIndex: 0, field: "role" });
    expect(forksOf(talk.messages, [])[0]).toEqual({ messageIndex: -1, field: "tools" });
  });

  it("still keep the recorded ids of a reply that was moved", () => {
    const single = REPLIES["tokens that would be tokenised differently"] as number[];
    talk.turn(user("four"), single);
    const moved = [user("new"), talk.messages.at(-1) as JsonObject, user("five")];
    const { promptIds } = talk.build(moved);
    expect([...promptIds].join(" ")).toContain(single.join(" "));
    // Shared up to the sampled ids, which the plain rendering would have tokenised anew.
    expect([...promptIds]).not.toEqual(tokenizer.encode(chatMl.render(moved as never, { tools })));
  });

  it("fall back to the template where it refuses the sentinel, and say so", () => {
    const strict = new ChatTemplate(
      "{% for m in messages %}{% if m.role == 'tool' and not messages[loop.index0 - 1].tool_calls %}" +
        "{{ raise_exception('a tool answer without its call') }}{% endif %}{{ m.role }}:{{ m.content }}\n{% endfor %}",
      tokenizer,
    );
    const other = new Talk(strict);
    other.turn(user("one"), REPLIES["a tool call"] as number[]);
    const { promptIds, forks } = other.build([...other.messages, ...other.answers()]);
    expect(forks.map(({ messageIndex, field }) => ({ messageIndex, field }))).toEqual([
      { messageIndex: 2, field: "template" },
    ]);
    expect(tokenizer.decode(promptIds)).toBe("system:Be brief.\nuser:one\nassistant:Let me compute.\ntool:24\n");
  });
});

it("builds a follow-up prompt in well under a millisecond", () => {
  const talk = new Talk();
  for (let turn = 0; turn < 4; turn++) talk.turn(user(`question ${turn}`), REPLIES["plain text"] as number[]);
  talk.messages.push(user("last"));
  const rounds = 200;
  talk.build();
  // CPU time, since the machine may be busy with other things; five times the aim.
  const started = process.cpuUsage();
  for (let round = 0; round < rounds; round++) talk.build();
  const { user: userMicros, system: systemMicros } = process.cpuUsage(started);
  expect((userMicros + systemMicros) / 1000 / rounds).toBeLessThan(5);
});
