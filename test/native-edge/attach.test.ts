import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { FileError, NativeError, WriterGoneError } from "../../src/native/errors.js";
import { attachModel, type Model } from "../../src/native/model.js";
import { startServer } from "../../src/serve/server.js";
import { textEngine } from "../../src/serve/text-engine.js";
import { chatTemplate, sessionOptions, tokenizer } from "../serve/harness.js";
import { KV_BYTES, sampleBatch, tinyModel, until } from "./tiny-model.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROMPT = Array.from({ length: 40 }, (_, i) => (i * 7) % 96);
const SAMPLING = { maxTokens: 20, seed: 5n };

/** What a peer does with each line it is sent. */
const READER = `
  import { attachModel } from ${JSON.stringify(`${ROOT}src/native/model.ts`)};
  const model = await attachModel(process.env.SEGMENT, { threads: 1 });
  const engine = await model.createEngine({ kvBytes: KV_BYTES });
  const generate = async (maxTokens) => {
    const [{ tokens, logprobs, lastVersion, cachedTokens }] = await engine.generate(${JSON.stringify(PROMPT)}, { maxTokens, seed: 5n });
    return { tokens: [...tokens], logprobs: [...logprobs], version: lastVersion, cachedTokens };
  };
  const answer = { generate: () => generate(20), version: () => model.version, endless: () => void generate(60000) };`;
const WRITER = `
  const model = await tinyModel(1n, { vocab_size: 448 });
  const segment = await model.share();
  const engine = await model.createEngine({ kvBytes: KV_BYTES });
  const trainer = await model.createTrainer({ learningRate: 1e-2 });
  const answer = {
    segment: () => segment,
    step: async () => (await trainer.step(await sampleBatch(engine, [[1, 2]], 4, 8), { preset: "ajet" })).version,
  };`;

const peers: Peer[] = [];

/** A second process with the addon, which answers lines of its own. */
class Peer {
  readonly child: ChildProcess;
  readonly #lines: Interface;

  constructor(body: string, env: NodeJS.ProcessEnv = {}) {
    const script = `import { tinyModel, KV_BYTES, sampleBatch } from ${JSON.stringify(`${ROOT}test/native-edge/tiny-model.ts`)};
      import { createInterface } from "node:readline";
      ${body}
      for await (const line of createInterface({ input: process.stdin }))
        process.stdout.write(JSON.stringify({ value: await answer[line]() }) + "\\n");`;
    this.child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#lines = createInterface({ input: this.child.stdout as NodeJS.ReadableStream });
    peers.push(this);
  }

  // biome-ignore lint/suspicious/noExplicitAny: each command has its own answer
  ask(command: string): Promise<any> {
    const answer = new Promise((resolve, reject) => {
      this.#lines.once("line", (line: string) => resolve(JSON.parse(line).value));
      this.child.once("exit", () => reject(new Error(`the peer ended before it answered ${command}`)));
    });
    this.child.stdin?.write(`${command}\n`);
    return answer;
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGKILL");
    await ended;
  }
}

const models: Model[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});
afterAll(() => {
  for (const peer of peers) peer.child.kill("SIGKILL");
});

async function open(share: boolean) {
  const model = await tinyModel();
  models.push(model);
  const segment = share ? await model.share() : "";
  const engine = await model.createEngine({ kvBytes: KV_BYTES });
  const trainer = await model.createTrainer({ learningRate: 1e-2 });
  const step = async () => trainer.step(await sampleBatch(engine, [[1, 2]], 4, 8), { preset: "ajet" });
  return { model, segment, engine, trainer, step };
}

async function allWeights(model: Model): Promise<Float32Array[]> {
  return Promise.all(model.weightNames().map((name) => model.readWeight(name)));
}

describe("a process that attaches to the weights of another", () => {
  it("samples what the trainer's own engine samples, to the last bit, at every version", async () => {
    const { model, segment, engine, step } = await open(true);
    const peer = new Peer(READER, { SEGMENT: segment });
    const seen: number[][] = [];
    for (let version = 0; version < 3; version++) {
      expect(await peer.ask("version")).toBe(version);
      const [own] = await engine.generate(PROMPT, SAMPLING);
      const attached = await peer.ask("generate");
      expect(attached.tokens).toEqual(Array.from(own?.tokens ?? []));
      expect(attached.logprobs).toEqual(Array.from(own?.logprobs ?? []));
      expect(attached.version).toBe(version);
      expect(attached.cachedTokens).toBe(0);
      expect((await peer.ask("generate")).cachedTokens).toBeGreaterThan(0);
      seen.push(attached.logprobs);
      expect((await step()).version).toBe(version + 1);
    }
    expect(seen[1]).not.toEqual(seen[0]);
    expect(model.writer).toBe("own");
    expect(await model.share()).toBe(segment);
  });

  it("changes no bit of the training, and stops it neither alive nor killed", async () => {
    const alone = await open(false);
    for (let i = 0; i < 6; i++) await alone.step();
    const shared = await open(true);
    const peer = new Peer(READER, { SEGMENT: shared.segment });
    await peer.ask("version");
    await peer.ask("endless");
    for (let i = 0; i < 3; i++) await shared.step();
    await peer.kill();
    for (let i = 0; i < 3; i++) await shared.step();
    expect(await allWeights(shared.model)).toEqual(await allWeights(alone.model));
  });

  // The writer makes its update known, then waits for the reader that hangs: there it is killed.
  it("never samples from weights whose writer was killed within an update", async () => {
    let attached: Model | undefined;
    while (attached?.writer !== "half_written") {
      const writer = new Peer(WRITER);
      const segment = await writer.ask("segment");
      const hanging = new Peer(READER, { SEGMENT: segment });
      await hanging.ask("endless");
      attached = await attachModel(segment, { threads: 1 });
      models.push(attached);
      hanging.child.kill("SIGSTOP"); // nearly always within a pass
      const step = writer.ask("step").catch(() => "killed");
      await Promise.race([step, new Promise((resolve) => setTimeout(resolve, 1500))]);
      await writer.kill();
      await hanging.kill();
      await until(() => attached?.writer !== "live");
    }
    const engine = await attached.createEngine({ kvBytes: KV_BYTES });
    for (let i = 0; i < 2; i++) {
      await expect(engine.generate(PROMPT, SAMPLING)).rejects.toThrow(WriterGoneError);
      await expect(attached.readWeight(attached.weightNames()[0] as string)).rejects.toThrow("are not whole");
    }
    expect(attached.version).toBe(0);

    const server = await startServer({ engine: textEngine(engine), tokenizer, chatTemplate, modelName: "gone" });
    server.open(sessionOptions("k"));
    const health = await fetch(new URL("/health", server.baseUrl));
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ status: "weights_gone", training_run: "half_written" });
    const chat = await fetch(`${server.baseUrl}/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer k", "content-type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content: "hi" }] }),
    });
    expect(chat.status).toBe(503);
    expect(await chat.json()).toMatchObject({ error: { code: "weights_gone" } });
    await server.stop();
  });

  it("reads only", async () => {
    const { model, segment } = await open(true);
    const attached = await attachModel(segment);
    models.push(attached);
    expect(attached.shape).toEqual(model.shape);
    expect(await allWeights(attached)).toEqual(await allWeights(model));
    const [name] = model.weightNames() as [string];
    const refused: (() => Promise<unknown>)[] = [
      () => attached.createTrainer(),
      () => attached.share(),
      async () => attached.writeWeight(name, await attached.readWeight(name)),
    ];
    for (const call of refused) await expect(call()).rejects.toBeInstanceOf(NativeError);
  });

  it("is told what is wrong with a segment", async () => {
    const { segment } = await open(true);
    await expect(attachModel("/proc/self/fd/9999")).rejects.toThrow(FileError);
    await expect(attachModel(process.execPath)).rejects.toThrow(
      /ETXTBSY|Text file busy|not a segment|Permission denied/,
    );
    await expect(attachModel(segment, { threads: -1 })).rejects.toThrow("`threads`");
  });
});
