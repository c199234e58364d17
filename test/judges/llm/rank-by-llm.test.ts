import { describe, expect, it } from "vitest";
import type { JudgedEpisode, Judgement } from "../../../src/agent/judge.js";
import { RankByLlmAsJudge } from "../../../src/judges/llm/rank-by-llm.js";
import { parseRanking } from "../../../src/judges/llm/ranking.js";
import { contextWith, judgeContract, workflowTaskWith } from "../contract.js";
import { startGrader } from "./grader.js";

const { endpoint, llm, config } = await startGrader();

judgeContract(
  {
    name: "RankByLlmAsJudge",
    make: () => new RankByLlmAsJudge(config),
    llm: { ask: (question) => llm.ask(question) },
    config,
  },
  [
    { task: {}, output: { final_answer: "it is 5" }, reward: 1, isSuccess: true },
    { task: {}, output: { final_answer: "it is 4" }, reward: 0, isSuccess: false },
    { task: {}, output: {}, reward: 0, isSuccess: false },
  ],
);

function episodes(...answers: string[]): JudgedEpisode[] {
  return answers.map((answer, sample) => ({
    workflowTask: workflowTaskWith({}, sample),
    output: { reward: null, metadata: { final_answer: answer } },
    calls: [
      {
        messages: [{ role: "user", content: "What is it?" }],
        reply: { role: "assistant", content: "" },
        finishReason: "stop",
      },
    ],
    toolResults: [],
  }));
}

function judge(args: Record<string, unknown> = {}): RankByLlmAsJudge {
  return Object.assign(new RankByLlmAsJudge(config), { args });
}

const rewards = (judgements: readonly Judgement[]) => judgements.map(({ reward }) => reward);

describe("RankByLlmAsJudge", () => {
  // The endpoint likes short answers, and accepts those with a 5 in them.
  it("gives the share of the others that an episode beats, ties counting half", async () => {
    const judgements = await judge().computeGroupRewards(episodes("55", "4", "555", "5"), contextWith({ llm }));
    expect(judgements.map(({ isSuccess }) => isSuccess)).toEqual([true, false, true, true]);
    const expected = [1 / 3, 5 / 6, 0, 5 / 6];
    for (const [i, reward] of rewards(judgements).entries()) expect(reward).toBeCloseTo(expected[i] as number, 12);
    expect(judgements[0]?.reason).toBe("2 better, 0 equal, 1 worse");
  });

  it("shows equal answers once, and gives them one place", async () => {
    const judgements = await judge().computeGroupRewards(episodes("5", "66", "5", "66"), contextWith({ llm }));
    const expected = [5 / 6, 1 / 6, 5 / 6, 1 / 6];
    for (const [i, reward] of rewards(judgements).entries()) expect(reward).toBeCloseTo(expected[i] as number, 12);
    expect(endpoint.requests.at(-1)?.body.messages[1]?.content.match(/BEGIN CANDIDATE/g)).toHaveLength(2);
    // A group that agrees gives no advantage.
    expect(rewards(await judge().computeGroupRewards(episodes("5", "5", "5"), contextWith({ llm })))).toEqual([
      0.5, 0.5, 0.5,
    ]);
  });

  it("shows the candidates in an order that is not the episodes'", async () => {
    const answers = Array.from({ length: 8 }, (_, i) => `answer ${i}`);
    await judge().computeGroupRewards(episodes(...answers), contextWith({ llm }));
    const shown = endpoint.requests.at(-1)?.body.messages[1]?.content.match(/answer \d/g) ?? [];
    expect(shown).not.toEqual(answers);
    expect([...shown].sort()).toEqual(answers);
  });

  it("shows the conversation where it is told to, and says what counts", async () => {
    const [episode] = episodes("5") as [JudgedEpisode];
    const call = {
      id: "c1",
      type: "function" as const,
      function: { name: "python", arguments: '{"code":"print(5)"}' },
    };
    const asking = { role: "user" as const, content: "What is it?" };
    const calling = { role: "assistant" as const, content: "", tool_calls: [call] };
    const result = { role: "tool" as const, tool_call_id: "c1", content: "it printed 5" };
    episode.calls = [
      { messages: [asking], reply: calling, finishReason: "tool_calls" },
      { messages: [asking, calling, result], reply: { role: "assistant", content: "It is 5." }, finishReason: "stop" },
    ];
    const args = { show: "conversation", criteria: "Brevity counts." };
    await judge(args).computeGroupRewards([episode], contextWith({ llm }));
    const [system, user] = endpoint.requests.at(-1)?.body.messages ?? [];
    expect(system?.content).toContain("Brevity counts.");
    expect(user?.content.match(/print\(5\)|it printed 5|It is 5\./g)).toEqual(["print(5)", "it printed 5", "It is 5."]);
  });
});

describe("parseRanking", () => {
  it("reads nested and flat lists, whatever stands around them", () => {
    expect(parseRanking('Sure: {"ranking": [[2], [1, 3]], "acceptable": [2]}!', 3)).toEqual({
      levels: [1, 0, 1],
      acceptable: new Set([1]),
    });
    expect(parseRanking('{"ranking": [3, "1", 2], "acceptable": []}', 3).levels).toEqual([1, 2, 0]);
  });

  it.each([
    ["the second is best", /Expected a JSON object/],
    ['{"ranking": [1, 2]}', /Expected `ranking` and `acceptable`/],
    ['{"ranking": [1], "acceptable": []}', /Expected candidate 2 in the ranking/],
    ['{"ranking": [1, 2, 1], "acceptable": []}', /Expected candidate 1 once/],
    ['{"ranking": [1, 2, 3], "acceptable": []}', /Expected numbers up to 2/],
    ['{"ranking": [1, 2], "acceptable": [0]}', /Expected numbers up to 2/],
    ["[1, 2]", /Expected a JSON object/],
  ])("refuses %s", (reply, problem) => {
    expect(() => parseRanking(reply, 2)).toThrow(problem);
  });
});
