import { describe, expect, it } from "vitest";
import type { CallRecord } from "../../src/rollout/call-record.js";
import { callsTool, episodeMarks } from "../../src/train/episode-marks.js";

const python = (code: string) => tool("execute_python_code", { code });
const tool = (name: string, args: object) => ({
  id: name,
  type: "function",
  function: { name, arguments: JSON.stringify(args) },
});
const TOOL_MESSAGE = { role: "tool", tool_call_id: "execute_python_code", content: "4" };

function calls(...replies: { content?: unknown; tool_calls?: object[]; after?: object[] }[]): CallRecord[] {
  return replies.map(({ after = [], content = "", ...reply }) => {
    const call = {
      messages: [{ role: "user", content: "2+2?" }, ...after],
      reply: { role: "assistant", content, ...reply },
    };
    return call as unknown as CallRecord;
  });
}

describe("episodeMarks", () => {
  it.each([
    ["code without print", [{ tool_calls: [python("2+2")] }], ["no_print"]],
    ["code with print", [{ tool_calls: [python("print(2+2)")] }], []],
    [
      "an answer in the text beside a call",
      [{ content: "It is \\boxed{4}.", tool_calls: [python("print(2+2)")] }],
      ["early_answer"],
    ],
    [
      "an answer in another call",
      [{ tool_calls: [python("print(2+2)"), tool("generate_response", { response: "\\boxed{4}" })] }],
      ["early_answer"],
    ],
    [
      "a call that speaks of boxes by itself",
      [{ tool_calls: [tool("generate_response", { response: "\\boxed{4}" })] }],
      [],
    ],
    ["an answer before any tool", [{ content: [{ type: "text", text: "The answer is 4" }] }], ["early_answer"]],
    [
      "an answer after the tool's",
      [{ tool_calls: [python("print(4)")] }, { content: "\\boxed{4}", after: [TOOL_MESSAGE] }],
      [],
    ],
    ["a tag that is left", [{ content: "<tool_call>{</tool_call>" }], ["malformed_call"]],
    ["nothing to say", [{ content: null }], []],
  ])("finds in a step with tools: %s", (_, replies, marks) => {
    expect(episodeMarks(calls(...replies), true)).toEqual(marks);
  });

  it("takes no answer for early where no one uses tools", () => {
    expect(episodeMarks(calls({ content: "\\boxed{4}" }), false)).toEqual([]);
    expect(callsTool(calls({ content: "\\boxed{4}" }))).toBe(false);
    expect(callsTool(calls({}, { tool_calls: [python("1")] }))).toBe(true);
  });
});
