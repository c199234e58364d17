import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { Ajet, ajet, jsonLines, MODEL, readJson, settings, temporaryFolder } from "./ajet.js";

const folder = temporaryFolder();
/** Settings of a run, which commands take that do not depend on them. */
const RUN = { "trainer_common.seed": 7, "rollout.num_repeat": 4 };

describe("ajet problems", () => {
  it("writes splits that share no question", async () => {
    const counts = ["--train", "40", "--heldout", "20", "--unseen", "10"];
    const { code, stdout } = await ajet([
      "problems",
      "--json",
      "--out",
      join(folder, "problems"),
      "--seed",
      "5",
      ...counts,
    ]);
    expect(code).toBe(0);
    const files = jsonLines(stdout);
    expect(files.map(({ problems }) => problems)).toEqual([20, 10, 40]);
    const again = await ajet(["problems", "--out", join(folder, "again"), "--seed", "5", ...counts, ...settings(RUN)]);
    expect(again.code).toBe(0);
    for (const name of ["train.jsonl", "heldout.jsonl", "unseen.jsonl"]) {
      expect(readFileSync(join(folder, "again", name), "utf8")).toBe(
        readFileSync(join(folder, "problems", name), "utf8"),
      );
    }
    const questions = files.flatMap(({ file }) =>
      jsonLines(readFileSync(file, "utf8")).map(({ question }) => question),
    );
    expect(new Set(questions).size).toBe(70);
  });
});

describe("ajet doctor", () => {
  it("says what there is and what is missing", async () => {
    const { code, stdout } = await ajet(["doctor", "--json"]);
    const findings = jsonLines(stdout);
    expect(findings.map(({ name }) => name)).toEqual([
      ...["machine", "node", "native core", "cuda", "device", "cmake", "make", "g++", "python tool"],
    ]);
    const missing = findings.filter(({ ok, name }) => !ok && name !== "cuda");
    expect(code).toBe(missing.length === 0 ? 0 : 1);
    expect(findings.find(({ name }) => name === "native core").ok).toBe(true);
  });

  it("shows the device that the settings come to, and fails where it is not there", async () => {
    const device = async (...args: string[]) => {
      const { code, stdout } = await ajet(["doctor", "--json", ...args]);
      return { code, ...jsonLines(stdout).find(({ name }) => name === "device") };
    };
    expect(await device(...settings({ "model.device": "cpu", "model.threads": 1 }))).toMatchObject({
      ok: true,
      value: expect.stringMatching(/^cpu, threads 1 -> cpu, 1 thread/),
    });
    // Keys that say nothing of the device are taken, so that the options of a run can be given as they are.
    expect(await device("--threads", "2", ...settings({ "rollout.num_repeat": 4 }))).toMatchObject({
      value: expect.stringMatching(/^auto, threads 2 -> /),
    });
    expect(await device(...settings({ "model.device": "cuda:99" }))).toMatchObject({ code: 1, ok: false });
  });
});

describe("ajet bench", () => {
  it("prints one object a figure", async () => {
    const { code, stdout } = await ajet([
      "bench",
      "--json",
      "--prompt-tokens",
      "32",
      "--new-tokens",
      "4",
      "--repeats",
      "1",
    ]);
    expect(code).toBe(0);
    const figures = jsonLines(stdout);
    expect(figures.map(({ name }) => name)).toEqual(["decode", "decode", "decode", "prefill", "update"]);
    for (const figure of figures) {
      expect(Object.keys(figure).sort()).toEqual(["device", "name", "shape", "unit", "value"]);
      expect(figure.value).toBeGreaterThan(0);
    }
  });
});

describe("ajet sft", () => {
  it("lowers the loss on the conversations and saves a model that loads", async () => {
    const conversations = Array.from({ length: 20 }, (_, i) => ({
      messages: [
        { role: "user", content: `What is item ${i}?` },
        { role: "assistant", content: `Item ${i} is number ${i * 7}.` },
      ],
    }));
    const data = join(folder, "conversations.jsonl");
    writeFileSync(data, conversations.map((conversation) => `${JSON.stringify(conversation)}\n`).join(""));
    const out = join(folder, "tuned");
    const { code, stdout, stderr } = await ajet([
      ...["sft", "--json", "--data", data, "--model", MODEL, "--out", out],
      ...["--epochs", "8", "--batch-size", "10", "--warmup", "2", "--lr", "1e-3"],
      ...settings({ "trainer_common.optim.max_grad_norm": 0.5, "trainer_common.optim.offload": "moments" }),
    ]);
    expect(stderr).not.toContain("error");
    expect(stderr).toContain(
      "note: `trainer_common.optim.offload` has no effect here: the CPU computes in the host's memory",
    );
    expect(code).toBe(0);
    const steps = jsonLines(stdout);
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(steps.at(-1).loss).toBeLessThan(0.5 * steps[0].loss);
    for (const file of ["config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"]) {
      expect(existsSync(join(out, file)), file).toBe(true);
    }
    const said = await ajet(["chat", "--json", "--model", out, "--temperature", "0"], { input: "What is item 3?\n" });
    expect(said.code).toBe(0);
    expect(jsonLines(said.stdout)[0]).toMatchObject({ role: "assistant", content: expect.stringMatching(/./) });
  });
});

describe("ajet sft, before it trains", () => {
  const messages = (content: string) => JSON.stringify({ messages: [{ role: "assistant", content }] });
  const sft = (data: string, ...more: string[]) => {
    const file = join(folder, "few.jsonl");
    writeFileSync(file, data);
    return ajet(["sft", "--data", file, "--model", MODEL, "--out", join(folder, "few"), ...more]);
  };

  it.each([
    ["a warm-up that leaves no steps", messages("a"), ["--warmup", "1"], 2, "Expected --warmup below the 1 steps"],
    [
      "a warm-up by --set that leaves no steps",
      messages("a"),
      settings({ "trainer_common.optim.warmup_steps": 7 }),
      2,
      "Expected --warmup below the 1 steps that 1 conversations make but received 7",
    ],
    [
      "a conversation that is too long",
      `${messages("a")}\n${messages("a word ".repeat(3000))}`,
      [],
      1,
      "few.jsonl:2: the conversation has",
    ],
    ["a folder that cannot be", messages("a"), ["--out", `${MODEL}/config.json`], 1, "which `--out` names: EEXIST"],
  ])("refuses %s", async (_, data, more, expected, part) => {
    const { code, stdout, stderr } = await sft(data, ...more);
    expect(stderr).toContain(part);
    expect(code).toBe(expected);
    expect(stdout).not.toContain("step ");
  });

  it("takes a single conversation as it takes thousands", async () => {
    const { code, stdout } = await sft(messages("a"));
    expect(stdout).toMatch(/^step 1\/1 {2}loss/m);
    expect(code).toBe(0);
  });
});

describe("a command that is out of memory", () => {
  const few = (megabytes: number) =>
    settings({ "model.device": "cpu", "model.memory_limit_mb": megabytes, "rollout.kv_cache_mb": 256 });

  it.each([
    ["serve", ["--model", MODEL, "--port", "0"]],
    ["eval", settings({ experiment_dir: folder, experiment_name: "eval-memory" })],
  ])("says what was planned and what to lower: %s", async (command, options) => {
    const { code, stderr } = await ajet([command, ...options, ...few(128)]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/ERR_AJET_OUT_OF_MEMORY.*Expected \d+ bytes of memory but the limit is 134217728/);
    expect(stderr).toMatch(/rollout +KV cache +\d+ tokens in \d+ blocks +[\d.]+ MiB/);
    expect(stderr).not.toContain("first moment");
    expect(stderr).toMatch(/With --set rollout\.kv_cache_mb=\d+ it would fit\.$/m);
  });

  it("says what to lower: sft", async () => {
    const data = join(folder, "long.jsonl");
    const content = "a word ".repeat(320);
    const messages = [
      { role: "user", content },
      { role: "assistant", content },
    ];
    writeFileSync(data, `${JSON.stringify({ messages })}\n`);
    const limit = settings({ "model.device": "cpu", "model.memory_limit_mb": 96, "trainer_common.recompute": "none" });
    const sft = ["sft", "--data", data, "--model", MODEL, "--out", join(folder, "none"), ...limit];
    const { code, stderr } = await ajet(sft);
    expect(code).toBe(1);
    expect(stderr).toContain("ERR_AJET_OUT_OF_MEMORY");
    expect(stderr).toMatch(/Lower `trainer_common\.max_batch_tokens` \(16384\) with --set, or set .*recompute=layers/);
  });
});

describe("ajet serve", () => {
  it("answers the openai client, asks for the key, and ends on SIGTERM", async () => {
    const server = new Ajet(["serve", "--json", "--model", MODEL, "--port", "0"], { env: { AJET_API_KEY: "sk-test" } });
    await server.until(() => server.stdout.includes("\n"));
    const [{ base_url: baseURL, api_key }] = jsonLines(server.stdout);
    expect(api_key).toBeUndefined();
    const client = new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 0 });
    const request = { model: "any", messages: [{ role: "user" as const, content: "1+1" }], max_tokens: 3 };
    const { choices, usage } = await client.chat.completions.create(request);
    expect(choices[0]?.message.role).toBe("assistant");
    expect(usage?.completion_tokens).toBeLessThanOrEqual(3);
    const stranger = new OpenAI({ baseURL, apiKey: "sk-other", maxRetries: 0 });
    await expect(stranger.chat.completions.create(request)).rejects.toMatchObject({ status: 401 });
    server.child.kill("SIGTERM");
    expect(await server.finished).toMatchObject({ code: 0, signal: null });
  });

  it("makes up a key where none is given, and says so", async () => {
    const server = new Ajet(["serve", "--json", "--model", MODEL, "--port", "0"]);
    await server.until(() => server.stdout.includes("\n"));
    const [{ base_url: baseURL, api_key: apiKey }] = jsonLines(server.stdout);
    const models = await new OpenAI({ baseURL, apiKey, maxRetries: 0 }).models.list();
    expect(models.data).toHaveLength(1);
    server.child.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);
  });
});

describe("ajet eval", () => {
  it("scores any JSONL with question and answer, in GSM8K's spelling too", async () => {
    const data = join(folder, "gsm.jsonl");
    const tasks = [
      { question: "Tom has 3 apples and buys 4 more. How many apples does he have?", answer: "3+4=<<3+4=7>>7\n#### 7" },
      { question: "A box holds 1,200 pens. Half are sold. How many are left?", answer: "1200/2=600\n#### 600" },
    ];
    writeFileSync(data, tasks.map((task) => `${JSON.stringify(task)}\n`).join(""));
    const run = { experiment_dir: folder, experiment_name: "eval-gsm" };
    const { code, stdout } = await ajet(["eval", "--data", data, ...settings(run)]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/success \d+\.\d % of 2 tasks, 0 episodes dropped/);
    expect(readJson(folder, "eval-gsm/summary.json")).toMatchObject({ validation_tasks: 2, episodes_dropped: 0 });
  });

  it("leaves with 130 when it is stopped", async () => {
    const running = new Ajet(["eval", ...settings({ experiment_dir: folder, experiment_name: "eval-stopped" })]);
    await running.until(() => running.stdout.includes("tasks"));
    running.child.kill("SIGINT");
    const { code, stderr } = await running.finished;
    expect(code).toBe(130);
    expect(stderr).not.toContain("Warning");
  });
});
