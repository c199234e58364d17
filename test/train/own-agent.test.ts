import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ajet, jsonLines, readJson, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";

const folder = temporaryFolder();
const file = join(folder, "agent.ts");

/** Asks twice; in some samples it writes the first reply back otherwise than it came. Its reward is the judge's bonus. */
const AGENT = `
  import { Judge, Workflow, type Judgement, type Tuner, type WorkflowOutput, type WorkflowTask } from "ajet";
  export class Editing extends Workflow {
    async execute({ task, sample }: WorkflowTask, tuner: Tuner) {
      const client = tuner.asRawOpenaiSdkClient();
      const messages: any[] = [{ role: "user", content: task.mainQuery }];
      const { edits, first } = this.args as { edits: number[]; first: { max_tokens: number } };
      const reply = await client.chat.completions.create({ model: "any", messages, ...first });
      const content = edits.includes(sample) ? "edited" : reply.choices[0]?.message.content;
      messages.push({ role: "assistant", content }, { role: "user", content: "Go on" });
      await client.chat.completions.create({ model: "any", messages, max_tokens: 2 });
      edits.push(99); // its own copy
      return { reward: null, metadata: { edits } };
    }
  }
  export class Bonus extends Judge {
    computeReward({ sample }: WorkflowTask, { metadata }: WorkflowOutput): Judgement {
      if ((metadata["edits"] as number[]).filter((edit) => edit === 99).length !== 1) throw new Error("shared args");
      return { reward: sample * (this.args["bonus"] as number), isSuccess: true };
    }
  }`;

const SETTINGS = {
  "rollout.user_workflow": `${file}->Editing`,
  "rollout.workflow_args": { edits: [1, 3], first: { max_tokens: 5 } },
  "task_judge.judge_protocol": `${file}->Bonus`,
  "task_judge.judge_args.bonus": 10,
  "trainer_common.total_training_steps": 1,
  "trainer_common.val_before_train": false,
  "data.validation_limit": 1,
};

beforeAll(() => writeFileSync(file, AGENT));

describe("an agent of one's own", () => {
  const run = join(folder, "own");
  let stderr: string;
  let episodes: Awaited<ReturnType<typeof loggedEpisodes>>;

  beforeAll(async () => {
    const finished = await ajet(["train", ...tinyRun(folder, "own", SETTINGS)]);
    stderr = finished.stderr;
    expect(stderr).not.toContain("error");
    expect(finished.code).toBe(0);
    episodes = (await loggedEpisodes(run)).filter(({ step }) => step === 1);
  });

  it("finds its settings as this.args, and so does its judge", () => {
    for (const { sample, reward, calls } of episodes) {
      expect(reward).toBe(sample * 10);
      expect(calls[0].sampledIds.length).toBeLessThanOrEqual(5);
    }
    expect(readJson(run, "summary.json").episodes_dropped).toBe(0);
  });

  it("is told which message it wrote back changed, and where that happened", () => {
    const fork = { messageIndex: 1, field: "content" };
    expect(episodes.map(({ sample, forks }) => [sample, forks])).toEqual(
      episodes.map(({ sample }) => [sample, [1, 3].includes(sample) ? [fork] : []]),
    );
    const expected = episodes.filter(({ sample }) => [1, 3].includes(sample)).length;
    expect(expected).toBeGreaterThan(1);
    expect(readJson(run, "summary.json").prompt_forks).toBe(expected);
    const [metrics] = jsonLines(readFileSync(join(run, "metrics.jsonl"), "utf8"));
    expect(metrics["rollout/prompt_forks"]).toBe(expected);
    expect(stderr).toContain("prompts that left the recorded tokens");
    expect(stderr).toMatch(
      new RegExp(`messages\\[1\\]\\.content \\(${expected} episodes; e\\.g\\. task \\S+, sample [13]\\)`),
    );
  });
});
