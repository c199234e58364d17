import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { loadModel } from "../native/model.js";
import type { Device } from "../native/types.js";
import { startServer } from "../serve/server.js";
import { loadTextModel } from "../serve/text-model.js";
import { waitForStopSignal } from "./stop-signal.js";
import { type CommonOptions, command, parseCount, withDevice } from "./options.js";
import { Output } from "./output.js";
import { findPath } from "./package-root.js";

interface ServeOptions extends CommonOptions {
  model: string;
  port: number;
  host: string;
  apiKey?: string;
  device?: Device;
  threads?: number;
  maxTokens: number;
}

/** `ajet serve`: the OpenAI-compatible server on a model folder. */
export function addServe(program: Command): void {
  const serve = command(program, "serve", "serves a model folder with OpenAI's chat API")
    .option("--model <dir>", "Hugging Face folder", "models/ajet-tiny")
    .option("--port <n>", "0 picks a free one", parseCount, 8000)
    .option("--host <address>", "0.0.0.0 lets other machines in", "127.0.0.1")
    .option("--api-key <key>", "bearer key; default: the environment's AJET_API_KEY, else a random one that is printed")
    .option("--max-tokens <n>", "of a completion, where a request names none", parseCount, 512);
  withDevice(serve).action(async (options: ServeOptions) => {
    const output = new Output(options);
    await using model = await loadModel(findPath(options.model), {
      device: options.device ?? "auto",
      threads: options.threads ?? 0,
    });
    await using engine = await model.createEngine();
    const text = await loadTextModel(findPath(options.model), model, engine);
    const given = options.apiKey ?? process.env["AJET_API_KEY"];
    const apiKey = given ?? `sk-ajet-${randomBytes(18).toString("base64url")}`;
    const server = await startServer({ ...text, host: options.host, port: options.port });
    server.open({
      apiKey,
      seed: BigInt(`0x${randomBytes(8).toString("hex")}`),
      training: false,
      forceTemperature: false,
      defaults: { temperature: 1, topP: 1, topK: 0, minP: 0, maxTokens: options.maxTokens },
      record: () => {},
    });
    output.line(`serving ${options.model} on ${server.baseUrl} (${model.device})`);
    if (!given) output.line(`API key: ${apiKey}`);
    output.result({ base_url: server.baseUrl, port: server.port, ...(given ? {} : { api_key: apiKey }) });
    await waitForStopSignal();
    await server.stop();
  });
}
