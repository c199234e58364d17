import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { heldOut, ROOT, TinyStage } from "./tiny-stage.js";

const KEY = "sk-ajet-run-docs";
const folder = mkdtempSync(join(tmpdir(), "ajet-docs-"));

let stage: TinyStage;
beforeAll(async () => {
  stage = await TinyStage.open({ episodeApiKey: KEY });
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(ROOT, join(folder, "node_modules/ajet"));
  symlinkSync(join(ROOT, "node_modules/openai"), join(folder, "node_modules/openai"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
});
afterAll(async () => {
  await stage?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The fenced blocks of a language on a page. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(join(ROOT, "docs", page), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, code]) => code as string);
}

describe("docs/workflows.md", () => {
  it.each(["TellsTheTime", "Debate"])("%s plays", async (name) => {
    const code = blocks("workflows.md", "ts").find((block) => block.includes(`class ${name} `)) as string;
    const file = join(folder, `${name}.ts`);
    writeFileSync(file, code);
    const tasks = heldOut(2);
    const results = await stage.play({ workflow: `${file}->${name}` }, tasks, {
      mode: "train",
      step: 1,
      temperature: 1,
    });
    expect(results.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect(results.every(({ calls }) => calls.length > 0)).toBe(true);
  });
});

describe.each(["workflows.md", "episode-api.md"])("docs/%s", (page) => {
  it("shows YAML that loads", () => {
    const found = blocks(page, "yaml");
    expect(found.length).toBeGreaterThan(0);
    for (const [i, yaml] of found.entries()) {
      const file = join(folder, `example_${i}.yaml`);
      writeFileSync(file, yaml);
      const needed = ["model.path=models/ajet-tiny"];
      if (!yaml.includes("user_workflow")) needed.push("rollout.user_workflow=agent.ts->Agent");
      expect(loadConfig(file, needed).notes).toEqual([]);
    }
  });
});

describe("docs/episode-api.md", () => {
  it("shows an agent in TypeScript that plays a run's episodes", async () => {
    const [code] = blocks("episode-api.md", "ts");
    writeFileSync(join(folder, "agent.ts"), code as string);
    const access = { base_url: stage.server.baseUrl, api_key: KEY };
    writeFileSync(join(folder, "episode_api.json"), JSON.stringify(access));
    const tsx = import.meta.resolve("tsx");
    const agent = spawn(process.execPath, ["--import", tsx, "agent.ts"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [agent.stdout, agent.stderr]) {
      stream.on("data", (text) => {
        output += text;
      });
    }
    const tasks = heldOut(3);
    const staging = {
      workflow: "ajet->ExternalAgent",
      judge: "ajet->MathAnswerAsJudge",
      runner: { agentWaitMs: 120_000 },
    };
    const results = await stage.play(staging, tasks, { mode: "train", step: 1, temperature: 1 });
    expect(
      results.map(({ error }) => error),
      output,
    ).toEqual([undefined, undefined, undefined]);
    const ended = new Promise((resolve) => agent.on("close", resolve));
    await stage.server.stop(); // the run is over
    expect(await ended).toBe(0);
    expect(output).toBe("3 episodes\n");
  });
});
