import { describe, expect, it } from "vitest";
import type { JudgedCall } from "../../src/agent/judge.js";
import { MathAnswerAsJudge } from "../../src/judges/math-answer.js";
import { hasCodeWithoutPrint, hasMalformedToolCall } from "../../src/judges/tool-penalties.js";
import { contextWith, judgeContract, workflowTaskWith } from "./contract.js";

const said = (content: string): JudgedCall => ({
  messages: [],
  reply: { role: "assistant", content },
  finishReason: "stop",
});
const called = (args: string): JudgedCall => {
  const call = { id: "c", type: "function" as const, function: { name: "execute_python_code", arguments: args } };
  return { messages: [], reply: { role: "assistant", content: null, tool_calls: [call] }, finishReason: "tool_calls" };
};
const ran = (code: string) => called(JSON.stringify({ code }));

const PENALTIES = { malformed_tool_call_penalty: 0.3, missing_print_penalty: 0.4 };

judgeContract({ name: "MathAnswerAsJudge", make: () => new MathAnswerAsJudge(), args: PENALTIES }, [
  { task: { answer: "5" }, output: { final_answer: "\\boxed{5}" }, reward: 1, isSuccess: true },
  { task: { answer: "5" }, output: { final_answer: "\\boxed{6}" }, reward: 0, isSuccess: false },
]);

describe("a malformed tool call", () => {
  it.each(['<tool_call>\n{"name": oops}\n</tool_call>', "<tool_call>", "so: </tool_call>"])("is seen in %j", (text) => {
    expect(hasMalformedToolCall(said(text))).toBe(true);
  });
  it("is not seen elsewhere", () => {
    for (const call of [said("I call the tool."), said(""), ran("print(1)")])
      expect(hasMalformedToolCall(call)).toBe(false);
  });
});

describe("code without print", () => {
  it.each([
    "17 * 3",
    "height_difference",
    "x = 'print(5)'",
    "# print(5)\nx = 5",
    '"""print(5)"""',
    "pprint = 5\nprinted(5)",
    "print",
    "",
  ])("is seen in %j", (code) => expect(hasCodeWithoutPrint(ran(code))).toBe(true));

  it.each(["print(17 * 3)", "x = 5; print (x)", "import sys\nsys.stdout.write('5')", "print('it\\'s', 5) # done"])(
    "is not seen in %j",
    (code) => expect(hasCodeWithoutPrint(ran(code))).toBe(false),
  );

  it("is no matter of calls that bring none", () => {
    for (const args of ["{}", '{"code": 5}', "null", "{", '{"text": "x"}'])
      expect(hasCodeWithoutPrint(called(args))).toBe(false);
    expect(hasCodeWithoutPrint(said("17 * 3"))).toBe(false);
  });
});

describe("penalties", () => {
  const bad = [said("<tool_call>"), ran("17 * 3")];
  const score = (answer: string, calls: readonly JudgedCall[], args: object = PENALTIES) =>
    Object.assign(new MathAnswerAsJudge(), { args }).computeReward(
      workflowTaskWith({ answer: "5" }),
      { reward: null, metadata: { final_answer: `\\boxed{${answer}}` } },
      contextWith({ calls }),
    );

  it("are taken once each, and leave success as it was", () => {
    expect(score("5", [...bad, ...bad]).reward).toBeCloseTo(0.3, 12);
    expect(score("5", bad).isSuccess).toBe(true);
    expect(score("6", bad.slice(0, 1))).toMatchObject({ reward: -0.3, isSuccess: false });
    expect(score("5", [said("fine"), ran("print(5)")])).toMatchObject({ reward: 1, reason: "5 is right" });
  });

  it("are off unless they are asked for", () => {
    expect(score("5", bad, {})).toMatchObject({ reward: 1, reason: "5 is right" });
  });

  it("never put a right answer below a wrong one", () => {
    const most = { malformed_tool_call_penalty: 0.4, missing_print_penalty: 0.4 };
    expect(score("5", bad, most).reward).toBeGreaterThan(score("6", [], most).reward);
  });

  it.each([
    [{ missing_print_penalty: 0.5 }, /judge_args\.missing_print_penalty/],
    [{ malformed_tool_call_penalty: -0.1 }, /judge_args\.malformed_tool_call_penalty/],
    [
      { no_print_penalty: 0.1 },
      /`task_judge\.judge_args\.no_print_penalty` is not a setting of this judge: known here: malformed/,
    ],
  ])("refuses %j", (args, problem) => {
    expect(() => Object.assign(new MathAnswerAsJudge(), { args }).prepare()).toThrow(problem);
  });
});
