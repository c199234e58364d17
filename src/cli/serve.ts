import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { startServer } from "../serve/server.js";
import { loadTextModel } from "../serve/text-model.js";
import { engineOptions } from "../train/native-options.js";
import { attachRun, watchRun } from "./attach.js";
import { ENGINE_KEYS, type ModelOptions, modelSettings, openEngine, openModel } from "./model-settings.js";
import { type CommonOptions, command, parseCount, parsePositive, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";
import { StopSignal } from "./stop-signal.js";

interface ServeOptions extends CommonOptions, Partial<ModelOptions> {
  set: string[];
  attach?: string;
  port: number;
  host: string;
  apiKey?: string;
  maxTokens: number;
}

const DEFAULT_MODEL = "models/ajet-tiny";

/** `ajet serve`: the OpenAI-compatible server on a model folder. */
export function addServe(program: Command): void {
  const serve = command(program, "serve", "serves a model folder, or a training run, with OpenAI's chat API")
    .option("--model <dir>", `Hugging Face folder (default: ${DEFAULT_MODEL})`)
    .option("--attach <run>", "the live weights of a training run on this machine, read in place: its folder or name")
    .option("--port <n>", "0 picks a free one", parseCount, 8000)
    .option("--host <address>", "0.0.0.0 lets other machines in", "127.0.0.1")
    .option("--api-key <key>", "bearer key; default: the environment's AJET_API_KEY, else a random one that is printed")
    .option("--max-tokens <n>", "of a completion, where a request names none", parsePositive, 512);
  withOverrides(withDevice(serve)).action((options: ServeOptions) => serveModel(options, new Output(options)));
}

async function serveModel(options: ServeOptions, output: Output): Promise<void> {
  using stop = new StopSignal();
  const { settings, model: opened, folder } = await openServed(options);
  await using model = opened;
  using _watch = folder === undefined ? undefined : watchRun(model, (text) => output.note(text));
  await using engine = await (folder === undefined
    ? openEngine(settings, model)
    : model.createEngine(engineOptions(settings)));
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
  const what = folder === undefined ? settings.model.path : `the live weights of ${folder}`;
  output.line(`serving ${what} on ${server.baseUrl} (${model.deviceLine})`);
  if (!given) output.line(`API key: ${apiKey}`);
  output.result({ base_url: server.baseUrl, port: server.port, ...(given ? {} : { api_key: apiKey }) });
  await stop.fired();
  await server.stop();
}

async function openServed({ attach, ...options }: ServeOptions) {
  if (attach !== undefined) return await attachRun(attach, options);
  const settings = modelSettings({ ...options, model: options.model ?? DEFAULT_MODEL }, ENGINE_KEYS);
  return { settings, model: await openModel(settings), folder: undefined };
}
