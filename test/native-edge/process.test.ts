import { describe, expect, it } from "vitest";
import { runScript } from "./run-script.js";

const OPEN = `
  const model = await tinyModel();
  const engine = await model.createEngine({ kvBytes: KV_BYTES });
  const trainer = await model.createTrainer();
`;
const clean = (stdout: string, code = 0) => ({ code, signal: null, stdout, stderr: "" });

describe("the process", () => {
  it("ends by itself while engine and trainer are idle and not disposed of", async () => {
    expect(await runScript(`${OPEN} await engine.generate([1], { maxTokens: 3 }); console.log("idle");`)).toEqual(
      clean("idle\n"),
    );
  });

  it("stays alive for what is pending", async () => {
    const body = `${OPEN}
      engine.generate([1], { maxTokens: 2000 }).then(([done]) => console.log(done.tokens.length));
      sampleBatch(engine, [[1, 2]], 4, 50).then((batch) => trainer.step(batch, { preset: "ajet" })).then(() => console.log("trained"));
    `;
    const result = await runScript(body);
    expect(result).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(result.stdout.split("\n").sort()).toEqual(["", "2000", "trained"]);
  });

  it.each([
    ["while sampling", `engine.generate([1], { maxTokens: 60000 }); await until(() => engine.stats().running === 1);`],
    [
      "while streaming",
      `engine.generate([1], { maxTokens: 60000, onTokens: () => process.exit(3) }); await until(() => false);`,
    ],
    [
      "while training",
      `const batch = await sampleBatch(engine, [[1], [2]], 32, 200); trainer.step(batch, { preset: "ajet" }); setTimeout(() => process.exit(3), 20); await until(() => false);`,
    ],
    ["while loading", `tinyModel(2n, { hidden_size: 512, intermediate_size: 2048, num_hidden_layers: 8 });`],
  ])("exits at once %s", async (_, busy) => {
    expect(await runScript(`${OPEN} ${busy} process.exit(3);`)).toEqual(clean("", 3));
  });

  it("dies of an uncaught error while busy with that error's code, not with a signal", async () => {
    const body = `${OPEN} engine.generate([1], { maxTokens: 60000 }); await until(() => engine.stats().running === 1); throw new Error("mine");`;
    const result = await runScript(body);
    expect(result).toMatchObject({ code: 1, signal: null });
    expect(result.stderr).toContain("mine");
  });

  it("keeps what a pending promise needs, and lets go of forgotten objects", async () => {
    const body = `
      const collect = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise((resolve) => setImmediate(resolve)); } };
      let collected = 0;
      const registry = new FinalizationRegistry(() => collected++);
      const round = async () => {
        const model = await tinyModel();
        const engine = await model.createEngine({ kvBytes: KV_BYTES });
        const trainer = await model.createTrainer({ reference: true });
        await trainer.step(await sampleBatch(engine, [[1, 2]], 2, 5), { preset: "ajet" });
        for (const object of [model, engine, trainer]) registry.register(object);
        return engine.generate([3], { maxTokens: 500 }); // from here on nothing but the promise is held
      };
      const pending = [1, 2, 3, 4].map(() => round().then((completions) => completions[0].tokens.length));
      await collect();
      const lengths = await Promise.all(pending);
      await until(() => { gc(); return collected === 12; });
      console.log(lengths.join());
    `;
    expect(await runScript(body, ["--expose-gc"])).toEqual(clean("500,500,500,500\n"));
  });

  it.each([
    ["forgotten, without a call of gc()", ""],
    ["disposed of", "await model.dispose();"],
  ])("does not pile up models that are %s", async (_, end) => {
    const models = 12;
    const body = `
      const shape = { hidden_size: 512, intermediate_size: 1536 };
      const bytes = 4 * (await tinyModel(1n, shape)).shape.parameters;
      const before = process.memoryUsage().rss;
      let peak = 0;
      for (let i = 0; i < ${models}; i++) {
        { const model = await tinyModel(BigInt(i), shape); ${end} }
        peak = Math.max(peak, process.memoryUsage().rss - before);
        await new Promise((resolve) => setTimeout(resolve, 1)); // finalizers run between turns
      }
      console.log(peak / bytes);
    `;
    const result = await runScript(body);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(Number(result.stdout)).toBeLessThan(models / 2);
  });
});
