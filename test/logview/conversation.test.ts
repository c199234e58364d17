import { describe, expect, it } from "vitest";
import { timelines } from "../../src/logview/timelines.js";
import { messagesOf } from "../../src/logview/tokens/messages.js";
import { tokenClass } from "../../src/logview/tokens/token-color.js";
import { columnsOf, visibleText } from "../../src/logview/tokens/visible-text.js";
import type { LoggedCall } from "../../src/report/token-log/types.js";
import { TokenVocabulary } from "../../src/report/token-log/vocabulary.js";
import { layOut } from "../../web/tokens/lines.js";

function call(promptIds: number[], sampledIds: number[], inLoss = true): LoggedCall {
  return {
    callId: `call-${promptIds.length}`,
    choice: 0,
    agent: undefined,
    verdict: { fate: "trained" },
    finishReason: "stop",
    temperature: 1,
    firstVersion: 4,
    lastVersion: 4,
    repetition: 0,
    node: 0,
    promptIds: Int32Array.from(promptIds),
    sampledIds: Int32Array.from(sampledIds),
    logprobs: Float32Array.from(sampledIds, (id) => -id / 100),
    entropies: Float32Array.from(sampledIds, () => Number.NaN),
    inLoss: Uint8Array.from(sampledIds, () => (inLoss ? 1 : 0)),
    advantage: inLoss ? 0.5 : null,
    messages: [],
    reply: {},
    startMs: undefined,
    endMs: undefined,
  };
}

describe("rows", () => {
  const vocabulary = new TokenVocabulary();

  it("merge calls that go on from each other, and keep those apart that do not", () => {
    const calls = [call([1, 2], [3]), call([1, 2, 3, 4], [5, 6]), call([1, 2, 9], [3]), call([1, 2], [3])];
    const rows = timelines({ calls, vocabulary });
    expect(rows.map(({ ids }) => ids)).toEqual([
      [1, 2, 3, 4, 5, 6],
      [1, 2, 9, 3],
    ]);
    expect(rows[0]?.calls).toEqual([0, 1, 3]);
    expect(rows[0]?.sampledBy).toEqual([-1, -1, 0, -1, 1, 1]);
    expect(rows[0]?.entropies[4]).toBeNull();
  });

  it("of equal calls is one, and of none is none", () => {
    expect(timelines({ calls: [call([1], [2]), call([1], [2])], vocabulary }).map(({ calls }) => calls)).toEqual([
      [0, 1],
    ]);
    expect(timelines({ calls: [], vocabulary })).toEqual([]);
  });
});

describe("colours", () => {
  const [row] = timelines({
    calls: [call([1], [2, 79, 700]), call([1, 2, 79, 700, 8], [39], false)],
    vocabulary: new TokenVocabulary(),
  });
  if (!row) throw new Error("Expected a row");

  it("are yellow outside the loss and blue inside, darker where a token was unlikely", () => {
    const classes = row.ids.map((_, i) => tokenClass("logprob", row, i));
    expect(classes[0]).toBe("tok out");
    expect(classes.slice(1, 4)).toEqual(["tok in l1", "tok in l4", "tok in l8"]);
    expect(classes[4]).toBe("tok out");
    expect(classes[5]).toBe("tok out sampled l3");
  });

  it("tell the advantage's sign, and what is not known", () => {
    expect(tokenClass("advantage", row, 1)).toBe("tok pos l3");
    expect(tokenClass("entropy", row, 1)).toBe("tok unknown");
  });
});

describe("messages", () => {
  it("are found by the chat template's own tokens", () => {
    const chatml = ["<|im_start|>", "sys", "tem", "\n", "Hi", "<|im_end|>", "\n", "<|im_start|>", "user\n", "x"];
    expect(
      messagesOf(
        chatml,
        chatml.map(() => -1),
      ),
    ).toEqual([
      { role: "system", from: 0, to: 7 },
      { role: "user", from: 7, to: 10 },
    ]);
    const llama = ["<|begin|>", "<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n", "x"];
    expect(
      messagesOf(
        llama,
        llama.map(() => -1),
      ).map(({ role, from }) => [role, from]),
    ).toEqual([
      ["start", 0],
      ["assistant", 1],
    ]);
  });

  it("are a tool's where the template lets the user say what a tool answered", () => {
    const answer = ["<|im_start|>", "user", "\n", "<tool", "_response>", "\n", "4", "</tool_response>", "<|im_end|>"];
    const question = ["<|im_start|>", "user\n", "What is a <tool_response>?", "<|im_end|>"];
    const texts = [...answer, ...question];
    const none = texts.map(() => -1);
    expect(messagesOf(texts, none).map(({ role }) => role)).toEqual(["tool", "user"]);
  });

  it("are turns where the template is not known, and where its token is only spoken of", () => {
    expect(messagesOf(["a", "b", "c", "d"], [-1, 0, 0, -1])).toEqual([
      { role: "prompt", from: 0, to: 1 },
      { role: "reply", from: 1, to: 3 },
      { role: "prompt", from: 3, to: 4 },
    ]);
    expect(messagesOf(["<|im_start|>", "x".repeat(50)], [-1, -1])[0]?.role).toBe("prompt");
    expect(messagesOf([], [])).toEqual([]);
  });
});

describe("lines", () => {
  const whole = (texts: string[]) => [{ role: "user", from: 0, to: texts.length }];
  const shown = (texts: string[], columns: number) =>
    layOut(texts, whole(texts), columns, new Set()).lines.flatMap((line) =>
      line.kind === "tokens" ? [line.pieces.map(({ text }) => text).join("")] : [],
    );

  it("hold every character once, in order, none longer than there is room", () => {
    const texts = ["one", " two", " three\n", "", "x".repeat(33), " 四五六", "\n\n", "end"];
    const lines = shown(texts, 10);
    expect(lines.join("")).toBe(texts.map((text) => text.replaceAll("\n", "↵") || "·").join(""));
    for (const line of lines) {
      const width = [...line.replaceAll("↵", "")].reduce((sum, character) => sum + columnsOf(character), 0);
      expect(width).toBeLessThanOrEqual(10);
    }
    expect(lines.slice(0, 2)).toEqual(["one two", " three↵"]);
  });

  it("know on which of them each token begins, also in a message that is folded", () => {
    const texts = ["a\n", "b", "c\n", "d"];
    const messages = [
      { role: "user", from: 0, to: 2 },
      { role: "tool", from: 2, to: 4 },
    ];
    expect([...layOut(texts, messages, 20, new Set()).lineOfToken]).toEqual([1, 2, 4, 5]);
    const folded = layOut(texts, messages, 20, new Set([0]));
    expect([...folded.lineOfToken]).toEqual([0, 0, 2, 3]);
    expect(folded.lines.map(({ kind }) => kind)).toEqual(["head", "head", "tokens", "tokens"]);
  });

  it("show what would hide or turn text around", () => {
    expect(visibleText("a\u202eb\u0000c\u200bd\te\nf")).toBe("a⟨202e⟩b␀c⟨200b⟩d\te\nf");
    expect([..."aé四\u0301😀"].map(columnsOf)).toEqual([1, 1, 2, 0, 2]);
  });
});
