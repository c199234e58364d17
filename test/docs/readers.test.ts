import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { resolveConfig } from "../../src/config/load-config.js";
import { evaluationTasks, trainingTasks } from "../../src/train/task-splits.js";
import { FrozenLakeServer } from "../../tutorial/example_frozenlake/env-server.js";
import { ajet, ROOT } from "../cli/ajet.js";
import { hubWithGsm8k } from "../tasks/hub-repo.js";

const PAGE = readFileSync(join(ROOT, "docs/readers.md"), "utf8");
const blocks = (language: string) =>
  [...PAGE.matchAll(new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``, "g"))].map(([, text]) => text as string);
/** What a run needs besides its reader. */
const REST = { rollout: { user_workflow: "w.ts->W" }, model: { path: "models/ajet-tiny" } };

async function tasksOf(yaml: string, change: (reader: Record<string, Record<string, unknown>>) => void = () => {}) {
  const { ajet: tree } = load(yaml) as { ajet: Record<string, Record<string, Record<string, unknown>>> };
  change(tree["task_reader"] as Record<string, Record<string, unknown>>);
  const { config, notes } = resolveConfig({ ...tree, ...REST }, "docs/readers.md");
  expect(notes).toEqual([]);
  const options = { config, yamlFile: join(ROOT, "docs/x.yaml"), packageRoot: ROOT };
  return { training: await trainingTasks(options), ...(await evaluationTasks(options)) };
}

describe("the examples of docs/readers.md", () => {
  const [jsonl = "", hub = "", service = "", dummy = ""] = blocks("yaml");
  const environment = { ...process.env };
  let lake: FrozenLakeServer;
  beforeAll(async () => {
    lake = await FrozenLakeServer.start(0);
  });
  afterAll(async () => {
    process.env = environment;
    await lake.stop();
  });

  it("read JSONL files", async () => {
    const { training, validation, unseen } = await tasksOf(jsonl);
    expect([training, validation, unseen].map((tasks) => tasks.length > 100)).toEqual([true, true, true]);
  });

  it("read a data set of the hub", async () => {
    const { hub: server, home } = await hubWithGsm8k();
    Object.assign(process.env, { HF_ENDPOINT: server.url, HF_HOME: home });
    const { training, validation, unseen } = await tasksOf(hub);
    expect([training, validation, unseen].map((tasks) => tasks.length)).toEqual([30, 10, 0]);
  });

  it("read an environment service", async () => {
    const { training, validation } = await tasksOf(service, (reader) =>
      Object.assign(reader["env_service"] ?? {}, { env_url: lake.url }),
    );
    expect([training[7]?.taskId, validation.length]).toEqual(["train-7", 200]);
  });

  it("read random numbers", async () => {
    const { training, validation } = await tasksOf(dummy);
    expect([training.length, validation.length]).toEqual([100, 100]);
  });

  it("download a data set", async () => {
    const { hub: server, home } = await hubWithGsm8k();
    const commands = (blocks("bash")[0] ?? "").split("\n").filter((line) => line.startsWith("npx ajet "));
    expect(commands).toHaveLength(2);
    for (const command of commands) {
      const args = command.replace(/ +#.*/, "").split(" ").slice(2);
      const finished = await ajet(args, { cwd: home, env: { HF_ENDPOINT: server.url, HF_HOME: home } });
      expect(finished).toMatchObject({ code: 0 });
    }
    expect(readFileSync(join(home, "data/openai/gsm8k/README.md"), "utf8")).toMatch(/config_name: main/);
  });
});
