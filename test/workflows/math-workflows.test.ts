import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CallRecord } from "../../src/rollout/call-record.js";
import type { EpisodeResult } from "../../src/rollout/episode.js";
import { SYSTEM_PROMPT, TOOLS } from "../../tutorial/example_math_agent/python-tool.js";
import { heldOut, TinyStage } from "./tiny-stage.js";

const FOLDER = "tutorial.example_math_agent";
const langchain = await Promise.all([import("langchain"), import("@langchain/openai")]).catch(() => undefined);
if (langchain === undefined) console.warn("skipped: the packages langchain and @langchain/openai are not installed");
const FILES = [
  "math_agent",
  "math_agent_oai_sdk",
  "math_agent_raw_http",
  ...(langchain ? ["math_agent_langchain"] : []),
];
const TASKS = heldOut(24);

let stage: TinyStage;
const played = new Map<string, EpisodeResult[]>();

beforeAll(async () => {
  stage = await TinyStage.open();
  for (const file of FILES) {
    const staging = {
      workflow: `${FOLDER}.${file}->ExampleMathLearn`,
      judge: `${FOLDER}.math_answer_as_judge->MathAnswerAsJudge`,
    };
    played.set(file, await stage.play(staging, TASKS, { mode: "train", step: 1, temperature: 1 }));
  }
});
afterAll(() => stage?.[Symbol.asyncDispose]());

it.skipIf(langchain !== undefined)("says what to install where LangChain.js is missing", async () => {
  const staging = { workflow: `${FOLDER}.math_agent_langchain->ExampleMathLearn` };
  const [result] = await stage.play(staging, TASKS.slice(0, 1));
  expect(result?.error?.message).toContain("npm install langchain @langchain/core @langchain/openai");
});

const tokens = ({ promptIds, sampledIds }: CallRecord) => [...promptIds, ...sampledIds];

describe.each(FILES)("%s", (file) => {
  const episodes = () => played.get(file) as EpisodeResult[];

  it("plays every episode, and each is scored", () => {
    expect(episodes().map(({ error }) => error)).toEqual(TASKS.map(() => undefined));
    expect(episodes().some(({ calls }) => calls.length === 2)).toBe(true);
    const successes = episodes().filter(({ isSuccess }) => isSuccess).length;
    expect(successes).toBeGreaterThan(0);
    expect(successes).toBeLessThan(TASKS.length);
  });

  it("sends the prompt that the model was trained on", () => {
    for (const [i, { calls }] of episodes().entries()) {
      const messages = [
        { role: "system", content: SYSTEM_PROMPT },
        { role: "user", content: TASKS[i]?.mainQuery as string },
      ];
      const prompt = stage.text.chatTemplate.render(messages, { tools: TOOLS });
      expect([...(calls[0]?.promptIds ?? [])]).toEqual(stage.text.tokenizer.encode(prompt));
    }
  });

  it("goes on from the recorded tokens, so that each is trained once", () => {
    for (const { calls, forks } of episodes()) {
      expect(forks).toEqual([]);
      for (const [i, call] of calls.slice(1).entries()) {
        const before = tokens(calls[i] as CallRecord);
        expect([...call.promptIds.slice(0, before.length)]).toEqual(before);
      }
    }
  });

  it("says token for token what the others say", () => {
    const others = played.get("math_agent_oai_sdk") as EpisodeResult[];
    for (const [i, episode] of episodes().entries()) {
      const { calls } = others[i] as EpisodeResult;
      // One agent may go on where another stops: two calls are what all have in common.
      expect(episode.calls.slice(0, 2).map(tokens)).toEqual(calls.slice(0, 2).map(tokens));
    }
  });
});
