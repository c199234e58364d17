import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { startServer } from "../serve/server.js";
import { loadTextModel } from "../serve/text-model.js";
import { engineOptions } from "../train/native-options.js";
import { ENGINE_KEYS, type ModelOptions, modelSettings, openModel } from "./model-settings.js";
import { type CommonOptions, command, parseCount, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";
import { StopSignal } from "./stop-signal.js";

interface ServeOptions extends CommonOptions, ModelOptions {
  port: number;
  host: string;
  apiKey?: string;
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
  withOverrides(withDevice(serve)).action((options: ServeOptions) => serveModel(options, new Output(options)));
}

async function serveModel(options: ServeOptions, output: Output): Promise<void> {
  const settings = modelSettings(options, ENGINE_KEYS);
  using stop = new StopSignal();
  await using model = await openModel(settings);
  await using engine = await model.createEngine(engineOptions(settings));
  const text = await loadTextModel(settings.model.path, model, engine);
  const given = options.apiKey ?? process.env["AJET_API_KEY"];
  const apiKey = given ?? `sk-ajet-${randomBytes(18).toString("base64url")}`;
  const server = await startServer({
    ...text,
    host: options.host,
    port: options.port,
    onError: (error) => output.error(error),
  });
  server.open({
    apiKey,
    seed: randomBytes(8).readBigUInt64LE(),
    training: false,
    forceTemperature: false,
    defaults: { temperature: 1, topP: 1, topK: 0, minP: 0, maxTokens: options.maxTokens },
    record: () => {},
  });
  output.line(`serving ${settings.model.path} on ${server.baseUrl} (${model.deviceLine})`);
  if (!given) output.line(`API key: ${apiKey}`);
  output.result({ base_url: server.baseUrl, port: server.port, ...(given ? {} : { api_key: apiKey }) });
  await stop.fired();
  await server.stop();
}
