import { describe, expect, it } from "vitest";
import type { ChatMessage, ToolCall } from "../../src/agent/task.js";
import type { ChatModel, ChatModelRequest } from "../../src/agentscope/chat-model.js";
import { InMemoryMemory } from "../../src/agentscope/memory.js";
import { Msg } from "../../src/agentscope/message.js";
import { ReActAgent } from "../../src/agentscope/react-agent.js";
import { Toolkit } from "../../src/agentscope/toolkit.js";

const ADD = { type: "function" as const, function: { name: "add", description: "Adds", parameters: {} } };
const call = (args: string, name = "add"): ToolCall => ({
  id: "c1",
  type: "function",
  function: { name, arguments: args },
});
const calling = (...calls: ToolCall[]): ChatMessage => ({ role: "assistant", content: null, tool_calls: calls });
const saying = (content: string): ChatMessage => ({ role: "assistant", content });

/** Answers by a script and keeps what it was asked; the last answer is repeated. */
class Scripted implements ChatModel {
  readonly requests: ChatModelRequest[] = [];
  constructor(private readonly answers: ChatMessage[]) {}
  async complete(request: ChatModelRequest): Promise<ChatMessage> {
    this.requests.push(request);
    return this.answers[Math.min(this.requests.length, this.answers.length) - 1] as ChatMessage;
  }
}

function adding(): Toolkit {
  const toolkit = new Toolkit();
  toolkit.registerToolFunction(ADD, ({ a, b }) => {
    if (typeof a !== "number" || typeof b !== "number") throw new TypeError("a and b must be numbers");
    return String(a + b);
  });
  return toolkit;
}

describe("ReActAgent", () => {
  it("asks, runs the tools, and asks again until there is no call", async () => {
    const model = new Scripted([calling(call('{"a": 1, "b": 2}'), call('{"a": 5, "b": 5}')), saying("3 and 10")]);
    const agent = new ReActAgent({ name: "adder", sysPrompt: "Add.", model, toolkit: adding() });
    const reply = await agent.reply(new Msg("user", "1 + 2? 5 + 5?", "user"));
    expect(reply).toMatchObject({ name: "adder", role: "assistant", content: "3 and 10" });
    expect(model.requests[1]?.messages.map(({ role, content }) => [role, content])).toEqual([
      ["system", "Add."],
      ["user", "1 + 2? 5 + 5?"],
      ["assistant", null],
      ["tool", "3"],
      ["tool", "10"],
    ]);
    expect(model.requests.map(({ tools }) => tools)).toEqual([[ADD], [ADD]]);
  });

  it("remembers its conversation, in the memory that it is given", async () => {
    const memory = new InMemoryMemory();
    const agent = new ReActAgent({ name: "a", model: new Scripted([saying("yes")]), memory });
    await agent.reply("one");
    agent.observe(new Msg("b", "two", "assistant"));
    await agent.reply();
    expect(memory.messages().map(({ role, content }) => `${role} ${content}`)).toEqual([
      "user one",
      "assistant yes",
      "user two",
      "assistant yes",
    ]);
  });

  it("stops calling after maxIters rounds and asks for an answer", async () => {
    const model = new Scripted([calling(call('{"a": 1, "b": 1}'))]);
    await new ReActAgent({ name: "a", model, toolkit: adding(), maxIters: 2 }).reply("go");
    expect(model.requests.map(({ toolChoice }) => toolChoice)).toEqual(["auto", "auto", "none"]);
    // The tools stay in the prompt, so that the last turn continues the tokens of the others.
    expect(model.requests.at(-1)?.tools).toEqual([ADD]);
  });

  it.each([0, 1.5, Number.NaN])("refuses maxIters %s", (maxIters) => {
    expect(() => new ReActAgent({ name: "a", model: new Scripted([]), maxIters })).toThrow(/maxIters/);
  });

  it("ends with its signal", async () => {
    const agent = new ReActAgent({ name: "a", model: new Scripted([saying("x")]) });
    await expect(agent.reply("go", { signal: AbortSignal.abort(new Error("over")) })).rejects.toThrow("over");
  });
});

describe("Toolkit", () => {
  it.each([
    ["{", "TypeError: the arguments are no JSON object"],
    ["[1]", "TypeError: the arguments are no JSON object"],
    ['{"a": "x"}', "TypeError: a and b must be numbers"],
    ['{"a": 2, "b": 2}', "4"],
  ])("answers a call with %s", async (args, answer) => {
    expect(await adding().run(call(args))).toBe(answer);
  });

  it("says that it knows no such tool, and takes no name twice", async () => {
    expect(await adding().run(call("{}", "subtract"))).toBe("NameError: no tool is named 'subtract'");
    const toolkit = adding();
    expect(() => toolkit.registerToolFunction(ADD, () => "")).toThrow(/"add" already/);
  });
});
