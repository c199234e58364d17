import { describe, expect, it } from "vitest";
import { answersEqual, lastBoxed, MathAnswerAsJudge, referenceAnswer } from "../../src/judges/math-answer.js";
import { parseNumber } from "../../src/judges/number-value.js";
import { judgeContract, workflowTaskWith } from "./contract.js";

const right = (answer: unknown, final: string) => ({
  task: { answer },
  output: { final_answer: final },
  reward: 1,
  isSuccess: true,
});
const wrong = (answer: unknown, final: string) => ({ ...right(answer, final), reward: 0, isSuccess: false });

judgeContract({ name: "MathAnswerAsJudge", make: () => new MathAnswerAsJudge() }, [
  right("She has 9 * 2 = <<9*2=18>>18 dollars.\n#### 18", "So the answer is \\boxed{18}."),
  right("#### 1,000", "\\boxed{1000}"),
  right("1000", "first \\boxed{7}, no: \\boxed{1{,}000}"),
  right(18, "\\boxed{18.0}"),
  right("5", "\\boxed{\\$5}"),
  right("5", "\\boxed{\\text{\\$5}}"),
  right("0.5", "\\boxed{\\frac{1}{2}}"),
  wrong("18", "18"),
  wrong("18", "\\boxed{19}"),
  wrong("18", "\\boxed{18} or rather \\boxed{81}"),
  wrong("18", "\\boxed{}"),
  wrong("18", "\\boxed{18"),
  wrong("1000", "\\boxed{1,00,0}"),
]);

describe("referenceAnswer", () => {
  it("takes what follows the last ####", () => {
    expect(referenceAnswer(workflowTaskWith({ answer: "a #### 3\n####  -1,200 " }))).toBe("-1,200");
    expect(referenceAnswer(workflowTaskWith({ answer: "#5" }))).toBe("5");
  });
  it("refuses a task without a reference", () => {
    expect(() => referenceAnswer(workflowTaskWith({}))).toThrow(/`answer` in the metadata of task t1/);
  });
});

describe("lastBoxed", () => {
  it.each([
    ["\\boxed{1}", "1"],
    ["\\boxed {1}", "1"],
    ["\\boxed{\\frac{1}{2}} and text", "\\frac{1}{2}"],
    ["\\boxed{a \\} b}", "a \\} b"],
    ["\\boxed{1} \\boxed{2", "1"],
    ["\\boxed 5", undefined],
    ["", undefined],
  ])("%s", (text, expected) => {
    expect(lastBoxed(text)).toBe(expected);
  });
});

describe("numbers", () => {
  it.each([
    ["1,000", "1000"],
    ["$5", "5"],
    ["18.0", "18"],
    ["18.", "18"],
    ["+3", "3"],
    ["−3", "-3"],
    ["- 3", "-3"],
    [".5", "1/2"],
    ["50%", "50"],
    ["50\\%", "50"],
    ["5 dollars", "5"],
    ["12 kg", "12"],
    ["12\\text{ kg}", "12"],
    ["\\$1,234.50", "1234.5"],
    ["\\frac{3}{4}", "0.75"],
    ["\\dfrac34", "3/4"],
    ["-\\frac{1}{2}", "-0.5"],
    ["1 1/2", "1.5"],
    ["-1 1/2", "-1.5"],
    ["1\\frac{1}{2}", "3/2"],
    ["6/4", "1.5"],
    ["1e3", "1000"],
    ["x = 5", "5"],
    ["0", "-0"],
    ["1 000", "1000"],
    ["１２", "12"],
    ["100000000000000000000001", "100000000000000000000001.0"],
  ])("%s equals %s", (left, right) => {
    expect(answersEqual(left, right)).toBe(true);
    expect(answersEqual(right, left)).toBe(true);
  });
  it.each([
    ["1,00", "100"],
    ["1.000", "1000"],
    ["5 million", "5"],
    ["11/2", "1 1/2"],
    ["5 or 6", "5"],
    ["1/3", "0.333"],
    ["", "0"],
    ["100000000000000000000001", "100000000000000000000002"],
    ["-5", "5"],
    ["1/0", "0"],
  ])("%s differs from %s", (left, right) => {
    expect(answersEqual(left, right)).toBe(false);
  });
  it("compares other answers as text", () => {
    expect(answersEqual("Monday", " monday ")).toBe(true);
    expect(answersEqual("(1, 2)", "(1,2)")).toBe(true);
    expect(answersEqual("(1, 2)", "(2, 1)")).toBe(false);
  });
  it("compares texts of any length: a model that never stops must not stop the judge", () => {
    // In time that grew with the square of the length, this took minutes.
    const endless = "and so it is that ".repeat(20_000);
    for (const text of [endless, `${endless}= 5 =`, `${endless}5`]) expect(answersEqual(text, "5")).toBe(false);
    expect(answersEqual(`${endless}= 5`, "5")).toBe(true);
  });
  it("reads no number into text", () => {
    for (const text of ["", "abc", "1/2/3", "1..2", "--1", "1e999", "9".repeat(500), "."]) {
      expect(parseNumber(text)).toBeUndefined();
    }
  });
});
