import { describe, expect, it } from "vitest";
import { isError, toolCallsOf } from "../../../src/report/token-log/tool-calls.js";

const call = (id: string, name = "f") => ({ id, type: "function", function: { name, arguments: "{}" } });
const said = (...tool_calls: object[]) => ({ role: "assistant", content: "", tool_calls });
const answered = (id: string, content: unknown) => ({ role: "tool", tool_call_id: id, content });

describe("toolCallsOf", () => {
  it("joins calls and what answered them, each once, with the time until the next request", () => {
    const first = said(call("a"), call("b", "g"));
    const calls = [
      { messages: [{ role: "user", content: "?" }], reply: first, startMs: 0, endMs: 10 },
      {
        messages: [first, answered("a", "1"), answered("b", [{ type: "text", text: "ValueError: " }, { text: "no" }])],
        reply: said(call("c")),
        startMs: 35,
        endMs: 50,
      },
      {
        messages: [first, answered("a", "changed")],
        reply: { role: "assistant", content: "" },
        startMs: 60,
        endMs: 70,
      },
    ];
    const made = { arguments: "{}", isError: false };
    expect(toolCallsOf(calls)).toEqual([
      { ...made, call: 0, id: "a", name: "f", output: "1", ms: 25 },
      { ...made, call: 0, id: "b", name: "g", output: "ValueError: no", isError: true, ms: 25 },
      { ...made, call: 1, id: "c", name: "f", output: undefined, ms: undefined },
    ]);
    const timeless = calls.map(({ messages, reply }) => ({ messages, reply, startMs: undefined, endMs: undefined }));
    expect(toolCallsOf(timeless).map(({ ms }) => ms)).toEqual([undefined, undefined, undefined]);
  });

  it("takes no harm from messages of any form", () => {
    const messages = [null, 7, "text", [], { role: "tool" }, answered("a", null), { role: "tool", tool_call_id: 3 }];
    for (const reply of [null, {}, { tool_calls: null }, { tool_calls: "x" }]) {
      expect(toolCallsOf([{ messages, reply, startMs: undefined, endMs: undefined }])).toEqual([]);
    }
  });
});

describe("isError", () => {
  it.each([
    ["12", false],
    ["", false],
    ["The Error bars are small", false],
    ["no error", false],
    ['{"stdout":"3\\n","returncode":0}', false],
    ['{"stdout":"","stderr":"NameError: x","returncode":1}', true],
    ['{"error":"not found"}', true],
    ['{"error":null,"value":1}', false],
    ["{broken", false],
    ["NameError: no tool is named 'x'", true],
    ["Error: nothing there", true],
    ["Traceback (most recent call last):\n  ...", true],
    ["<returncode>0</returncode><stdout>ZeroDivisionError</stdout>", false],
    ["<returncode> 2 </returncode>", true],
  ])("of %j is %s", (output, expected) => expect(isError(output)).toBe(expected));
});
