import { describe, expect, it } from "vitest";
import type { CallRecord } from "../../src/rollout/call-record.js";
import type { EpisodeOutcome, FailureKind } from "../../src/rollout/episode.js";
import { findMadness, findNonsense, findRepetition, type MadnessCheck } from "../../src/rollout/madness.js";
import { type MadnessOptions, MadnessWatch } from "../../src/rollout/madness-watch.js";

function call(
  content: string | null,
  more: { toolArguments?: string; finishReason?: CallRecord["finishReason"] } = {},
) {
  const { toolArguments, finishReason = "stop" } = more;
  const calls = toolArguments && [{ id: "c", type: "function", function: { name: "f", arguments: toolArguments } }];
  const reply = { role: "assistant", content, ...(calls ? { tool_calls: calls } : {}) };
  return { reply, finishReason, messages: [] } as unknown as CallRecord;
}

const SENSIBLE = [
  "Since √16 ≤ 4π and ½ ≈ 0.5, the price is € 3 − £ 1 → ¥ 2; x² ÷ y.",
  "Привет, как дела? Сегодня хорошая погода, и мы идём гулять.",
  "Crème brûlée, naïve façade, Zürich, Łódź, 東京の天気は晴れです。 안녕하세요 😀🎉",
  `| a | b | c |\n|${"-----|".repeat(12)}\n${"| 0 | 0 | 0 |\n".repeat(8)}`,
  `x = [${Array.from({ length: 400 }, (_, i) => (i * i * 7919) % 9973).join(", ")}]`,
  "def f(x):\n    return x\n\n".repeat(5),
  Array.from({ length: 400 }, (_, i) => `Step ${i} adds ${i * 3} apples to box ${i % 7}.`).join(" "),
  "ha ha ha ha ha ha ha ha ha ha",
  "a < b and c > d; the tags <b>, <tool> and |x| are text",
];

describe("nonsense", () => {
  it.each(SENSIBLE)("is not sensible text %#", (text) => {
    expect(findNonsense(text)).toBeUndefined();
  });

  it("is a control token in the text, and broken bytes, save for a character that the token limit cut", () => {
    expect(findNonsense("4 <|im_start|>user")).toContain("<|im_start|>");
    expect(findNonsense("a\ufffdb")).toContain("no characters");
    expect(findNonsense("a\ufffd")).toContain("no characters");
    expect(findNonsense("a\ufffd", true)).toBeUndefined();
  });
});

describe("repetition", () => {
  it.each([
    ["one character", "!".repeat(200)],
    ["a word", `The answer is ${"and ".repeat(60)}`],
    ["a sentence", `First. ${"I will run the code again and look at what it prints. ".repeat(8)}`],
    [
      "a long unit",
      Array.from({ length: 50 }, (_, i) => `${i}`)
        .join(" ")
        .repeat(7),
    ],
    ["two words in no order", Array.from({ length: 70 }, (_, i) => (((i * i) % 7) % 3 ? "so" : "then")).join(" ")],
    ["letters of another language", "東京".repeat(120)],
  ])("is found: %s", (_, text) => {
    expect(findRepetition(text)).toBeDefined();
    expect(findRepetition(`${SENSIBLE[6]} ${text} ${SENSIBLE[6]}`)).toBeDefined();
  });

  it("begins at 200 characters", () => {
    expect(findRepetition("ab".repeat(99))).toBeUndefined();
    expect(findRepetition("ab".repeat(100))).toBeDefined();
  });
});

describe("findMadness", () => {
  it("finds what is asked for, and nothing else", () => {
    const pi = call("π is about 3");
    expect(findMadness(pi, [])).toBeUndefined();
    expect(findMadness(pi, ["nonsense", "repetition", "wrong_toolcall", "context_overflow"])).toBeUndefined();
    expect(findMadness(pi, ["nonsense", "non_ascii"])).toMatchObject({ check: "non_ascii" });
    expect(findMadness(call("pi is about 3"), ["non_ascii"])).toBeUndefined();
  });

  it("looks into tool calls, too", () => {
    const looping = call(null, { toolArguments: JSON.stringify({ code: "print(1)\n".repeat(40) }) });
    expect(findMadness(looping, ["nonsense"])).toMatchObject({ check: "nonsense" });
  });

  it("takes a call for wrong that stayed in the text", () => {
    const check: MadnessCheck[] = ["wrong_toolcall"];
    expect(findMadness(call('<tool_call>\n{"name": "f"}\n</tool_call>'), check)).toBeDefined();
    expect(findMadness(call('<tool_call>\n{"name": "f", "argum', { finishReason: "length" }), check)).toBeDefined();
    expect(findMadness(call(null, { toolArguments: "{}" }), check)).toBeUndefined();
  });

  it("leaves cancelled calls alone", () => {
    const mad = call("!".repeat(500));
    expect(findMadness({ ...mad, finishReason: "cancelled" }, ["nonsense"])).toBeUndefined();
    expect(findMadness({ ...mad, dropReason: "cancelled" }, ["nonsense"])).toBeUndefined();
    expect(findMadness(mad, ["nonsense"])).toBeDefined();
  });
});

describe("MadnessWatch", () => {
  const options: MadnessOptions = { checks: ["repetition", "context_overflow"], terminate: true, reward: -1 };
  const mad = call("!".repeat(300));
  const score = { reward: 1, isSuccess: true, metadata: { answer: "4" }, logMetrics: { rounds: 1 } };
  const scored: EpisodeOutcome = { kind: "scored", score, unrepeatable: [] };
  const failed = (kind: FailureKind): EpisodeOutcome => ({
    kind: "failed",
    failure: { kind, message: "401" },
    unrepeatable: [],
  });

  it("ends a mad episode's session once, and gives it its reward", () => {
    let ended = 0;
    const watch = new MadnessWatch(options, () => ++ended);
    watch.onCall(call("fine"));
    expect(ended).toBe(0);
    watch.onCall(mad);
    watch.onCall(mad);
    watch.onContextOverflow();
    expect(ended).toBe(1);
    expect(watch.judge(scored)).toEqual({
      kind: "scored",
      score: {
        ...score,
        reward: -1,
        isSuccess: false,
        madness: "repetition",
        reason: expect.stringContaining("again and again"),
      },
      unrepeatable: [],
    });
  });

  it("lets a mad episode go on where it shall", () => {
    const watch = new MadnessWatch({ ...options, terminate: false, reward: 0 }, () => {
      throw new Error("ended");
    });
    watch.onCall(mad);
    expect(watch.judge(scored)).toMatchObject({ score: { reward: 0, madness: "repetition" } });
    expect(watch.judge(failed("timeout")).kind).toBe("failed");
  });

  it.each([
    ["mad reply", (watch: MadnessWatch) => watch.onCall(mad), 1],
    ["refused request", (watch: MadnessWatch) => watch.onContextOverflow(), 0],
  ])("says where a %s ended other calls: another run may have them whole", (_, notice, own) => {
    for (const others of [0, 1]) {
      const watch = new MadnessWatch(options, () => own + others);
      notice(watch);
      expect(watch.judge(scored)).toMatchObject({ unrepeatable: { length: others } });
    }
  });

  it("explains failures that follow from a refused call, and no others", () => {
    const watch = new MadnessWatch(options, () => 0);
    watch.onContextOverflow();
    expect(watch.judge(failed("workflow"))).toMatchObject({ kind: "scored", score: { madness: "context_overflow" } });
    expect(watch.judge(failed("timeout")).kind).toBe("scored");
    expect(watch.judge(failed("exited")).kind).toBe("failed");
    expect(watch.judge(failed("stalled")).kind).toBe("failed");
    expect(watch.judge({ kind: "interrupted", alone: false }).kind).toBe("interrupted");
  });

  it("does nothing unless asked for", () => {
    const watch = new MadnessWatch(undefined, () => 0);
    watch.onCall(mad);
    watch.onContextOverflow();
    expect(watch.judge(scored)).toBe(scored);
  });
});
