import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ajet, readJson, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";
import { gradeByRule, LocalEndpoint } from "../judges/llm/local-endpoint.js";

const folder = temporaryFolder();
let endpoint: LocalEndpoint;
beforeAll(async () => {
  endpoint = await LocalEndpoint.start(gradeByRule);
});
afterAll(() => endpoint.stop());

const asking = (more: Record<string, unknown> = {}) => ({
  "task_judge.alien_llm_base_url": endpoint.baseUrl,
  "task_judge.alien_llm_model": "grader",
  "task_judge.alien_llm_api_key_env": "AJET_TEST_KEY",
  "task_judge.alien_llm_cache_dir": join(folder, "cache"),
  "trainer_common.total_training_steps": 1,
  "trainer_common.val_before_train": false,
  "data.validation_limit": 1,
  ...more,
});
const env = { AJET_TEST_KEY: "secret" };

describe("a judge that asks an LLM", () => {
  const seeds = "tutorial.example_math_agent.math_answer_as_judge->MathAnswerAndLlmAsJudge";

  it("does not start without a key, and leaves no run behind", async () => {
    const settings = asking({ "task_judge.judge_protocol": seeds });
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "keyless", settings)], {
      env: { AJET_TEST_KEY: "" },
    });
    expect(code).toBe(2);
    expect(stderr).toContain("The environment variable AJET_TEST_KEY is not set");
    expect(existsSync(join(folder, "keyless"))).toBe(false);
  });

  it("judges by the seed's name for it, from worker threads within one limit, and a second run asks nothing", async () => {
    endpoint.behave = (request) => ({ ...gradeByRule(request), delayMs: 100 });
    const settings = asking({
      "task_judge.judge_protocol": seeds,
      "task_judge.judge_args": { compare_first: false, missing_print_penalty: 0.25 },
      "task_judge.alien_llm_max_parallel": 3,
      "rollout.worker_threads": 2,
      "data.train_batch_size": 4,
      "rollout.max_response_length_in_one_turn": 128,
    });
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "asking", settings)], { env });
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    expect(endpoint.mostRunning).toBeGreaterThan(1);
    expect(endpoint.mostRunning).toBeLessThanOrEqual(3);
    expect(endpoint.requests.every(({ headers }) => headers.authorization === "Bearer secret")).toBe(true);
    const episodes = await loggedEpisodes(join(folder, "asking"));
    const rewards = new Set(episodes.map(({ reward }) => reward));
    expect([...rewards].every((reward) => [-0.25, 0, 0.75, 1].includes(reward))).toBe(true);
    expect(episodes.some(({ reason }) => /^the LLM says/.test(reason))).toBe(true);
    const before = endpoint.requests.length;
    expect((await ajet(["train", ...tinyRun(folder, "again", settings)], { env })).code).toBe(0);
    expect(endpoint.requests.length).toBe(before);
    const again = await loggedEpisodes(join(folder, "again"));
    expect(again).toEqual(episodes);
  });
});

describe("a judge that ranks groups", () => {
  it("gives advantages in the order of its ranks", async () => {
    endpoint.behave = gradeByRule;
    const settings = asking({ "task_judge.judge_protocol": "ajet->RankByLlmAsJudge", "data.train_batch_size": 4 });
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "ranking", settings)], { env });
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    const episodes = (await loggedEpisodes(join(folder, "ranking"))).filter(({ step }) => step === 1);
    const groups = Map.groupBy
      ? [...Map.groupBy(episodes, ({ taskId }) => taskId).values()]
      : [...new Set(episodes.map(({ taskId }) => taskId))].map((id) => episodes.filter(({ taskId }) => taskId === id));
    expect(groups).toHaveLength(4);
    for (const group of groups) {
      const sum = (key: string) => group.reduce((total, episode) => total + episode[key], 0);
      expect(sum("reward")).toBeCloseTo(group.length / 2, 9); // ranks share out half of the episodes, however many tie
      expect(sum("advantage")).toBeCloseTo(0, 5);
      const ordered = [...group].sort((a, b) => a.reward - b.reward);
      for (const [i, episode] of ordered.entries()) {
        const next = ordered[i + 1];
        if (next) expect(Math.sign(next.advantage - episode.advantage)).toBe(Math.sign(next.reward - episode.reward));
      }
    }
    expect(new Set(episodes.map(({ reward }) => reward)).size).toBeGreaterThan(1);
  });
});

describe("64 episodes at once, with workflows that throw, hang and return NaN, and an endpoint that fails every third call", () => {
  const WORKFLOW = `
    import { Workflow, type WorkflowTask, type Tuner } from "ajet";
    export class Unreliable extends Workflow {
      async execute({ sample, mode, task, episodeUuid }: WorkflowTask, tuner: Tuner) {
        const client = tuner.asRawOpenaiSdkClient();
        const messages = [{ role: "user" as const, content: task.mainQuery }];
        await client.chat.completions.create({ model: "any", messages, max_tokens: 4 });
        if (mode === "train") {
          if (sample === 3) throw new Error("no luck");
          if (sample === 7) await new Promise(() => {});
          if (sample === 11) return { reward: Number.NaN, metadata: {} };
        }
        return { reward: null, metadata: { final_answer: "That is 5, says " + episodeUuid } };
      }
    }`;

  it("the run ends, and its counts add up", async () => {
    const file = join(folder, "unreliable.ts");
    writeFileSync(file, WORKFLOW);
    const before = endpoint.requests.length;
    endpoint.behave = (request) => (request.number % 3 === 0 ? { status: 500 } : gradeByRule(request));
    const settings = asking({
      "rollout.user_workflow": `${file}->Unreliable`,
      "task_judge.judge_protocol": "ajet->MathAnswerAndLlmAsJudge",
      "task_judge.alien_llm_max_retries": 1,
      "rollout.num_repeat": 16,
      "data.train_batch_size": 4,
      "rollout.episode_timeout_s": 5,
      "rollout.max_attempts": 1,
    });
    const { code, stderr } = await ajet(["train", ...tinyRun(folder, "unreliable", settings)], { env });
    expect(code).toBe(0);
    const { episodes, episodes_dropped, drop_reasons, ...calls } = readJson(folder, "unreliable/summary.json");
    const judge = drop_reasons["episode: judge"] ?? 0;
    expect(episodes).toBe(64);
    expect(drop_reasons).toMatchObject({ "episode: workflow": 8, "episode: timeout": 4 });
    expect(episodes_dropped).toBe(12 + judge);
    expect(calls.calls_trained + calls.calls_merged + calls.calls_dropped).toBe(64);
    expect(drop_reasons["call: judge_failed"] ?? 0).toBe(judge);
    // 52 judgings and one evaluation; each failed call is asked again once, so at most half of the rest is lost.
    expect(endpoint.requests.length - before).toBeGreaterThan(52 * 1.3);
    if (judge > 0) expect(stderr).toMatch(/The judge threw LlmError: The judge's LLM grader at http.* answered 500/);
  });
});
