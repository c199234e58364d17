import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Model } from "../../src/native/model.js";
import { orderCalls } from "../../src/rollout/call-order.js";
import type { CallRecord } from "../../src/rollout/call-record.js";
import { EpisodeTuner } from "../../src/rollout/episode-tuner.js";
import type { RunningServer } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { textEngine } from "../../src/serve/text-engine.js";
import { chatTemplate, sessionOptions, tokenizer } from "../serve/harness.js";
import { randomModel } from "../serve/random-model.js";

const QUESTION = { model: "any", messages: [{ role: "user" as const, content: "Heads or tails?" }], max_tokens: 12 };

let model: Model;
let server: RunningServer;
let proxy: SwappingProxy;

beforeAll(async () => {
  model = await randomModel(7n);
  const engine = await model.createEngine({ maxSequences: 16, kvBytes: 32 << 20 });
  server = await startServer({ engine: textEngine(engine), tokenizer, chatTemplate, modelName: "random" });
  proxy = await SwappingProxy.start(server.port);
});

afterAll(async () => {
  proxy?.close();
  await server?.stop();
  await model?.dispose();
});

/** Stands before the server, and can make the request that came first arrive last. */
class SwappingProxy {
  /** Requests that are collected and then passed on, one after the other, last one first; 1: each at once. */
  swap = 1;
  private held: (() => Promise<void>)[] = [];

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on("request", (incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk) => chunks.push(chunk));
      incoming.on("end", () => {
        const pass = () =>
          new Promise<void>((resolve) => {
            const { method, url, headers } = incoming;
            const options = { port: this.target, method, path: url, headers };
            request(options, (answer) => {
              outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
              answer.pipe(outgoing).on("finish", resolve);
            }).end(Buffer.concat(chunks));
          });
        if (this.held.push(pass) >= this.swap) void this.release();
      });
    });
  }

  static start(target: number): Promise<SwappingProxy> {
    const listening = createServer();
    return new Promise((resolve) => listening.listen(0, () => resolve(new SwappingProxy(listening, target))));
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  close(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  private async release(): Promise<void> {
    for (const pass of this.held.splice(0).reverse()) await pass();
  }
}

type Ask = (more?: object) => Promise<string>;

/** One episode: its calls go through the proxy, `swap` of them in reverse. Returns what came of each, as it was issued. */
async function episode(
  swap: number,
  makeClient: (tuner: EpisodeTuner) => OpenAI,
  run: (ask: Ask) => Promise<string[]>,
): Promise<{ replies: string[]; calls: CallRecord[] }> {
  const calls: CallRecord[] = [];
  server.open(sessionOptions("key", { seed: 5n, training: true, record: (call) => calls.push(call) }));
  proxy.swap = swap;
  try {
    const python = () => Promise.reject(new Error("no Python here"));
    const endpoint = { baseUrl: proxy.baseUrl, apiKey: "key" };
    const client = makeClient(new EpisodeTuner({}, endpoint, python, new AbortController().signal));
    const replies = await run(async (more = {}) => {
      const { choices } = await client.chat.completions.create({ ...QUESTION, ...more });
      return choices[0]?.message.content ?? "";
    });
    return { replies, calls: orderCalls(calls) };
  } finally {
    await server.close("key");
  }
}

const handedOut = (tuner: EpisodeTuner) => tuner.asRawOpenaiSdkClient();
const ownWithFetch = (tuner: EpisodeTuner) => {
  const { baseUrl: baseURL, apiKey } = tuner.asOaiBaseurlApikey();
  return new OpenAI({ baseURL, apiKey, fetch: tuner.fetch, maxRetries: 0 });
};
const ownWithout = (tuner: EpisodeTuner) => {
  const { baseUrl: baseURL, apiKey } = tuner.asOaiBaseurlApikey();
  return new OpenAI({ baseURL, apiKey, maxRetries: 0 });
};
const three = (ask: Ask) => Promise.all([ask(), ask(), ask()]);

/** What training sees of a call. */
const essence = (calls: CallRecord[]) =>
  calls.map(({ callId, ordinal, sampledIds }) => ({ callId, ordinal, sampledIds: [...sampledIds] }));

describe("equal calls in parallel", () => {
  it.each([
    ["the tuner's client", handedOut],
    ["a client with the tuner's fetch", ownWithFetch],
  ])("get the same draws whatever order they arrive in: %s", async (_, client) => {
    const straight = await episode(1, client, three);
    expect(new Set(straight.replies).size).toBe(3);
    const swapped = await episode(3, client, three);
    expect(swapped.replies).toEqual(straight.replies);
    expect(essence(swapped.calls)).toEqual(essence(straight.calls));
  });

  it("draw as they arrive where the client does not count", async () => {
    const straight = await episode(1, ownWithout, async (ask) => [await ask(), await ask(), await ask()]);
    const swapped = await episode(3, ownWithout, three);
    expect(swapped.replies).toEqual(straight.replies.toReversed());
    // Counted or not, the calls of an episode are the same ones.
    expect(essence(swapped.calls)).toEqual(essence(straight.calls));
    expect((await episode(1, handedOut, three)).replies).toEqual(straight.replies);
  });

  it("are counted apart from other calls, whose number follows from when replies come in", async () => {
    const other = { messages: [{ role: "user", content: "And now?" }] };
    const branches = (ask: Ask) => Promise.all([ask(), ask(other), ask(), ask(other)]);
    const straight = await episode(1, handedOut, branches);
    expect((await episode(4, handedOut, branches)).replies).toEqual(straight.replies);
    // Issued in another order among each other: still the same.
    const [a, b, c, d] = (await episode(1, handedOut, (ask) => Promise.all([ask(other), ask(other), ask(), ask()])))
      .replies;
    expect([c, a, d, b]).toEqual(straight.replies);
  });
});
