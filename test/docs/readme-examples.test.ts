import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ajet, MODEL, ROOT, readJson, settings, temporaryFolder } from "../cli/ajet.js";

/** A user's project: the package and what it brings along, and the examples as files. */
const project = temporaryFolder();
const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const examples = ["README.md", ...docs.map((name) => join("docs", name))].flatMap((page) =>
  codeBlocks(page, "ts").map((code, i) => ({ file: `${page.replace(/\W/g, "_")}_${i + 1}.ts`, code })),
);
const agent = examples.find(({ code }) => code.startsWith("// agent.ts"));
const embedding = examples.find(({ code }) => code.includes("trainer.step("));

/** The fenced blocks of a language on a page. */
function codeBlocks(page: string, language: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, code]) => code as string);
}

beforeAll(() => {
  mkdirSync(join(project, "node_modules/@types"), { recursive: true });
  symlinkSync(ROOT, join(project, "node_modules/ajet"));
  for (const name of ["openai", "@types/node"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(project, "node_modules", name));
  }
  symlinkSync(join(ROOT, "models"), join(project, "models"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  for (const { file, code } of examples) writeFileSync(join(project, file), code);
});

describe("the examples of README and docs", () => {
  it("are found", () => {
    expect(examples.length).toBeGreaterThanOrEqual(3);
    expect([agent, embedding]).not.toContain(undefined);
  });

  it("fit the types of the built package", () => {
    const compilerOptions = {
      ...{ target: "ES2022", lib: ["ES2023", "ESNext.Disposable"], module: "NodeNext", types: ["node"] },
      ...{ strict: true, noPropertyAccessFromIndexSignature: true, noEmit: true, skipLibCheck: true },
    };
    const files = examples.map(({ file }) => file);
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  it("of the native core runs as it stands: sampler and trainer agree", () => {
    const tsx = import.meta.resolve("tsx");
    const { stdout, stderr } = spawnSync(process.execPath, ["--import", tsx, embedding?.file as string], {
      cwd: project,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(stdout).toBe("0\n");
  });

  it("of an agent of one's own trains, with the YAML beside it", async () => {
    const yaml = codeBlocks("README.md", "yaml").find((block) => block.startsWith("# capitals.yaml")) as string;
    const { file } = agent as { file: string };
    const model = "path/to/a/hugging-face-folder";
    for (const part of [model, "agent.ts->"]) expect(yaml).toContain(part);
    const run = join(project, "capitals.yaml");
    writeFileSync(run, yaml.replace(model, MODEL).replaceAll("agent.ts->", `${file}->`));
    const lines = ["France, Paris", "Italy, Rome"].map((line) => {
      const [country, answer] = line.split(", ");
      return JSON.stringify({ question: `What is the capital of ${country}?`, answer });
    });
    for (const name of ["train.jsonl", "heldout.jsonl"]) writeFileSync(join(project, name), lines.join("\n"));
    const short = settings({
      ...{ experiment_name: "capitals", "trainer_common.total_training_steps": 1, "data.train_batch_size": 2 },
      ...{ "rollout.num_repeat": 2, "rollout.max_response_length_in_one_turn": 8 },
    });
    const { code, stderr } = await ajet(["train", "capitals.yaml", ...short], { cwd: project });
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    expect(readJson(project, "saved_experiments/capitals/summary.json")).toMatchObject({
      ...{ steps: 1, episodes: 4, episodes_dropped: 0, validation_tasks: 2 },
    });
  });
});
