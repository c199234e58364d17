import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { dump, load } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ajetSchema } from "../../src/config/schema.js";
import { ajet, ROOT, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { loggedEpisodes } from "../cli/logged-episodes.js";
import { gradeByRule, LocalEndpoint } from "../judges/llm/local-endpoint.js";

const PAGE = readFileSync(join(ROOT, "docs/judges.md"), "utf8");
/** The page's examples, by the file name in their first line. */
const examples = new Map(
  [...PAGE.matchAll(/^```(?:ts|yaml)\n(?:\/\/|#) (\S+)\n(.*?)^```$/gms)].map(([, name, code]) => [name, code]) as [
    string,
    string,
  ][],
);
const TUTORIAL = load(readFileSync(join(ROOT, "tutorial/example_math_agent/math_agent.yaml"), "utf8")) as {
  ajet: Record<string, unknown>;
};

const hasOnnx = (() => {
  try {
    createRequire(import.meta.url).resolve("onnxruntime-node");
    return true;
  } catch {
    return false;
  }
})();

const project = temporaryFolder();
let endpoint: LocalEndpoint;
beforeAll(async () => {
  endpoint = await LocalEndpoint.start((request) =>
    request.body.messages[0]?.content.startsWith("How clear") ? { answer: "I say 7." } : gradeByRule(request),
  );
  for (const name of ["models", "tutorial"]) symlinkSync(join(ROOT, name), join(project, name));
  for (const [name, code] of examples) writeFileSync(join(project, name), code);
  mkdirSync(join(project, "grader"));
  cpSync(join(ROOT, "test/judges/onnx/fixtures"), join(project, "grader"), { recursive: true });
});
afterAll(() => endpoint.stop());

/** Trains the tutorial for a step with a section `task_judge`; returns the token log. */
// biome-ignore lint/suspicious/noExplicitAny: what tests look into
async function train(name: string, taskJudge: Record<string, unknown>): Promise<any[]> {
  const file = join(project, `run-${name}.yaml`);
  writeFileSync(file, dump({ ajet: { ...TUTORIAL.ajet, task_judge: taskJudge } }));
  const short = tinyRun("runs", name, {
    "trainer_common.total_training_steps": 1,
    "trainer_common.val_before_train": false,
    "data.validation_limit": 1,
    "rollout.max_response_length_in_one_turn": 128,
    "task_judge.alien_llm_base_url": endpoint.baseUrl,
  });
  const env = { OPENAI_API_KEY: "of the environment" };
  const { code, stderr } = await ajet(["train", file, ...short], { cwd: project, env });
  expect(stderr).not.toMatch(/error|failed episodes/);
  expect(code).toBe(0);
  const episodes = await loggedEpisodes(join(project, "runs", name));
  expect(episodes.map(({ dropped }) => dropped)).toEqual(episodes.map(() => null));
  return episodes;
}

const section = (name: string) =>
  (load(examples.get(name) ?? "") as { task_judge: Record<string, unknown> }).task_judge;

describe("the examples of docs/judges.md", () => {
  it("are all run below", () => {
    expect([...examples.keys()].sort()).toEqual([
      ...["math-llm.yaml", "math.yaml", "onnx.yaml", "own-group-judge.ts", "own-judge.ts", "own-llm-judge.ts"],
      "rank.yaml",
    ]);
    expect(PAGE.match(/^```\w+$/gm)).toHaveLength(examples.size);
  });

  it("math.yaml", async () => {
    const episodes = await train("math", section("math.yaml"));
    for (const { reward, success, reason } of episodes) {
      expect(reward).toBeCloseTo((success ? 1 : 0) - (/code without print/.test(reason) ? 0.2 : 0), 9);
    }
    expect(episodes.some(({ reason }) => /-0\.2 for code without print/.test(reason))).toBe(true);
  });

  it("math-llm.yaml", async () => {
    const before = endpoint.requests.length;
    for (const { reward, reason } of await train("math-llm", section("math-llm.yaml"))) {
      expect([0, 1]).toContain(reward);
      expect(reason).toMatch(/is right$|^the LLM says (right|wrong)$/);
    }
    const asked = endpoint.requests.slice(before);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked[0]?.body.model).toBe("gpt-4.1-mini");
    expect(asked[0]?.headers.authorization).toBe("Bearer of the environment");
  });

  it("rank.yaml", async () => {
    const episodes = await train("rank", section("rank.yaml"));
    for (const { reason } of episodes) expect(reason).toMatch(/^\d better, \d equal, \d worse$/);
    const asked = endpoint.requests.filter(({ body }) => body.messages[0]?.content.includes("then a short way to it."));
    // Two groups, and the evaluation's episodes, each alone.
    expect(asked.length).toBeGreaterThanOrEqual(2);
    expect(asked.some(({ body }) => body.messages[1]?.content.includes("execute_python_code"))).toBe(true);
  });

  it.skipIf(!hasOnnx)("onnx.yaml (needs the optional package onnxruntime-node)", async () => {
    for (const { reward, success, reason } of await train("onnx", section("onnx.yaml"))) {
      expect(reward).toBeGreaterThan(0);
      expect(reward).toBeLessThan(1);
      expect(success).toBe(reward >= 0.5);
      expect(reason).toMatch(/^the model gives 0\.\d+$/);
    }
  });

  it("own-judge.ts", async () => {
    const episodes = await train("own", { judge_protocol: "own-judge.ts->ReadFromTool" });
    for (const { reward, success, reason, calls } of episodes) {
      expect([0, 0.1]).toContainEqual(expect.closeTo(reward - (success ? 1 : 0), 9));
      expect(reason).toBe(`${calls.length} calls`);
    }
  });

  it("own-llm-judge.ts", async () => {
    const judge = { judge_protocol: "own-llm-judge.ts->Clarity", alien_llm_model: "any" };
    for (const { reward, success } of await train("own-llm", judge)) expect([reward, success]).toEqual([0.7, false]);
  });

  it("own-group-judge.ts", async () => {
    const episodes = await train("own-group", { judge_protocol: "own-group-judge.ts->FewestCalls" });
    for (const { taskId, reward, success, calls } of episodes) {
      const group = episodes.filter((other) => other.taskId === taskId);
      const most = Math.max(...group.map((other) => other.calls.length));
      expect(reward).toBeCloseTo(success ? 1 + (most - calls.length) / most / 2 : 0, 9);
    }
  });
});

describe("the tables of docs/judges.md", () => {
  it("have every key of the LLM, with its default", () => {
    const defaults = ajetSchema.parse({ rollout: { user_workflow: "a.ts->B" }, model: { path: "m" } }).task_judge;
    const rows = new Map([...PAGE.matchAll(/^\| `(alien_\w+)` \| *(.*?) *\|/gm)].map(([, key, value]) => [key, value]));
    const keys = Object.keys(defaults).filter((key) => key.startsWith("alien_"));
    expect([...rows.keys()].sort()).toEqual(keys.sort());
    for (const [key, shown] of rows) {
      const value = defaults[key as keyof typeof defaults];
      if (key === "alien_llm_base_url") expect([shown, value]).toEqual(["OpenAI's", "https://api.openai.com/v1"]);
      else if (value === null) expect(shown).toBe("");
      else
        expect((shown as string).replaceAll("`", "")).toBe(
          typeof value === "object" ? JSON.stringify(value) : String(value),
        );
    }
  });
});
