import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel, type Model } from "../../src/native/model.js";
import { selectCalls } from "../../src/rollout/audit.js";
import type { RunningServer } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { loadTextModel } from "../../src/serve/text-model.js";
import { heldOut, ROOT, TinyStage } from "./tiny-stage.js";

const TASKS = heldOut(4);
const FILE = `${ROOT}test/workflows/user-code/two-agents.ts`;
const TRAIN = { mode: "train", step: 1, temperature: 1 } as const;

let stage: TinyStage;
beforeAll(async () => {
  stage = await TinyStage.open();
});
afterAll(() => stage?.[Symbol.asyncDispose]());

describe("several agents in one workflow", () => {
  it("are all trained by default, and told apart in records and draws", async () => {
    const results = await stage.play({ workflow: `${FILE}->TwoAgents`, args: { via: "fetch" } }, TASKS, TRAIN);
    for (const { calls, error } of results) {
      expect(error).toBeUndefined();
      expect(calls.map(({ agent }) => agent).sort()).toEqual(["critic", "solver"]);
      expect(calls.map(({ dropReason }) => dropReason)).toEqual([undefined, undefined]);
      // The same prompt, but each has the first draw of its own.
      expect(calls.map(({ repetition }) => repetition)).toEqual([0, 0]);
      expect(calls[0]?.callId).not.toBe(calls[1]?.callId);
    }
    const differs = results.some(({ calls: [a, b] }) => String(a?.sampledIds) !== String(b?.sampledIds));
    expect(differs).toBe(true);
    expect(selectCalls(results, stage.model.version).trainable).toHaveLength(2 * TASKS.length);
  });

  describe("with a frozen copy for those that are not trained", () => {
    let frozen: Model;
    let server: RunningServer;
    beforeAll(async () => {
      const folder = `${ROOT}models/ajet-tiny`;
      frozen = await loadModel(folder, { device: "cpu", threads: 1 });
      const engine = await frozen.createEngine({ maxSequences: 8, kvBytes: 64 << 20 });
      server = await startServer(await loadTextModel(folder, frozen, engine));
    });
    afterAll(async () => {
      await server?.stop();
      await frozen?.dispose();
    });

    it.each([
      ["fetch", "solver"],
      ["client", "solver-tag"],
    ])("trains the target alone (%s)", async (via, target) => {
      const untrained = { trainableTargets: [target], server };
      const results = await stage.play(
        { workflow: `${FILE}->TwoAgents`, args: { via }, runner: { untrained } },
        TASKS,
        TRAIN,
      );
      const { trainable, dropped } = selectCalls(results, stage.model.version);
      expect(results.map(({ error }) => error)).toEqual(TASKS.map(() => undefined));
      expect(trainable.map(({ call }) => call.agent)).toEqual(TASKS.map(() => "solver"));
      expect(dropped.map(({ call, reason }) => [call.agent, reason])).toEqual(
        TASKS.map(() => ["critic", "not_trainable"]),
      );
    });

    it("asks every agent to say who it is", async () => {
      const untrained = { trainableTargets: ["solver"], server };
      const [result] = await stage.play(
        { workflow: `${FILE}->Nameless`, runner: { untrained } },
        TASKS.slice(0, 1),
        TRAIN,
      );
      expect(result?.error?.message).toMatch(/trainable_targets.*targetTag.*agentName/);
    });
  });

  it.each(["fetch", "client"])("can be answered by an endpoint outside (%s)", async (via) => {
    const seen: { model: string; key: string | undefined; headers: string[] }[] = [];
    const outside = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk) => {
        body += chunk;
      });
      request.on("end", () => {
        const { model } = JSON.parse(body) as { model: string };
        seen.push({ model, key: request.headers.authorization, headers: Object.keys(request.headers) });
        const message = { role: "assistant", content: "from outside" };
        response.setHeader("content-type", "application/json");
        response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }));
      });
    });
    await new Promise<void>((resolve) => void outside.listen(0, "127.0.0.1", resolve));
    const { port } = outside.address() as AddressInfo;
    const endpoint = { baseUrl: `http://127.0.0.1:${port}/v1`, apiKey: "their-key", model: "their-model" };
    const trainableTargets = ["solver", "solver-tag"];
    const runner = { untrained: { trainableTargets, outside: endpoint } };
    try {
      const results = await stage.play({ workflow: `${FILE}->TwoAgents`, args: { via }, runner }, TASKS, TRAIN);
      expect(results.map(({ metadata }) => metadata["critic"])).toEqual(TASKS.map(() => "from outside"));
      // None of its tokens is ours to train.
      expect(results.flatMap(({ calls }) => calls.map(({ agent }) => agent))).toEqual(TASKS.map(() => "solver"));
    } finally {
      outside.close();
      outside.closeAllConnections();
    }
    expect(seen.map(({ model, key }) => [model, key])).toEqual(TASKS.map(() => ["their-model", "Bearer their-key"]));
    expect(seen.flatMap(({ headers }) => headers).filter((name) => name.startsWith("x-ajet"))).toEqual([]);
  });
});
