import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { generateWordProblems, type WordProblem } from "../../src/tasks/word-problems/generate.js";
import { TRAINING_TEMPLATES } from "../../src/tasks/word-problems/training-templates.js";
import { UNSEEN_TEMPLATES } from "../../src/tasks/word-problems/unseen-templates.js";

/** The same for a commit, another for the next: what holds for one seed must hold for all. */
const SEED = Number(process.env["AJET_TEST_SEED"] ?? 987_654);

const numberOf = (problem: WordProblem) => Number(problem.answer.split("#### ")[1]);

describe.each([
  ["training", TRAINING_TEMPLATES],
  ["unseen", UNSEEN_TEMPLATES],
] as const)("%s problems", (templates, list) => {
  const problems = generateWordProblems({ seed: SEED, count: 40 * list.length, templates });

  it("use every template, and no text twice", () => {
    expect(new Set(problems.map((problem) => problem.template))).toEqual(new Set(list.map((template) => template.id)));
    expect(new Set(problems.map((problem) => problem.question)).size).toBe(problems.length);
  });

  it("have whole, positive answers that Python agrees with", () => {
    const program = `import json, sys\nprint(json.dumps([eval(e) for e in json.load(sys.stdin)]))`;
    const input = JSON.stringify(problems.map((problem) => problem.expression));
    const { stdout, stderr } = spawnSync("/usr/bin/python3", ["-c", program], { input, encoding: "utf8" });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(problems.map(numberOf));
    for (const problem of problems) expect(numberOf(problem)).toBeGreaterThan(0);
  });

  it("say every number of the calculation that is not a constant of the world", () => {
    const said: Record<string, number> = { half: 2, third: 3, quarter: 4, fifth: 5, weeks: 7, "%": 100 };
    for (const problem of problems) {
      const numbers = new Set((problem.question.match(/\d+/g) ?? []).map(Number));
      for (const [word, value] of Object.entries(said)) if (problem.question.includes(word)) numbers.add(value);
      for (const number of problem.expression.match(/\d+/g) ?? [])
        expect(numbers, problem.question).toContain(Number(number));
    }
  });

  it("are the same for the same seed, others for another", () => {
    expect(generateWordProblems({ seed: SEED, count: 100, templates })).toEqual(problems.slice(0, 100));
    const others = generateWordProblems({ seed: SEED + 1, count: 100, templates });
    expect(others.map((problem) => problem.question)).not.toEqual(
      problems.slice(0, 100).map((problem) => problem.question),
    );
  });
});

describe("splits", () => {
  it("never share a text or, unseen, a template", () => {
    const taken = new Set<string>();
    const train = generateWordProblems({ seed: SEED, count: 2000, taken });
    const heldout = generateWordProblems({ seed: SEED, count: 500, taken });
    const texts = new Set(train.map((problem) => problem.question));
    expect(heldout.filter((problem) => texts.has(problem.question))).toEqual([]);
    const ids = new Set(TRAINING_TEMPLATES.map((template) => template.id));
    expect(UNSEEN_TEMPLATES.filter((template) => ids.has(template.id))).toEqual([]);
  });

  it("has at least 20 templates of 1 to 4 operations", () => {
    const problems = generateWordProblems({ seed: SEED, count: 20 * TRAINING_TEMPLATES.length });
    expect(TRAINING_TEMPLATES.length).toBeGreaterThanOrEqual(20);
    expect(new Set(problems.map((problem) => problem.operations))).toEqual(new Set([1, 2, 3, 4]));
  });

  it("says when there are not so many different problems", () => {
    const all = new Set<string>();
    const everything = { has: () => true, add: () => all } as unknown as Set<string>;
    expect(() => generateWordProblems({ seed: SEED, count: 5, taken: everything })).toThrow(
      /Expected 5 different problems/,
    );
  });
});
