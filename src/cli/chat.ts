import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { loadTextModel } from "../serve/text-model.js";
import type { TemplateMessage } from "../text/chat-template.js";
import { StreamDecoder } from "../text/stream-decoder.js";
import { ENGINE_KEYS, type ModelOptions, modelSettings, openEngine, openModel } from "./model-settings.js";
import { type CommonOptions, command, parsePositive, parseTemperature, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";

interface ChatOptions extends CommonOptions, ModelOptions {
  system?: string;
  temperature: number;
  maxTokens: number;
}

/** `ajet chat`: a conversation with a model folder in the terminal. */
export function addChat(program: Command): void {
  const chat = command(program, "chat", "talks to a model folder in the terminal; an empty line or Ctrl-D ends")
    .option("--model <dir>", "Hugging Face folder", "models/ajet-tiny")
    .option("--system <text>", "system prompt")
    .option("--temperature <x>", "0 is greedy", parseTemperature, 0.7)
    .option("--max-tokens <n>", "of a reply", parsePositive, 256);
  withOverrides(withDevice(chat)).action((options: ChatOptions) => converse(options, new Output(options)));
}

async function converse(options: ChatOptions, output: Output): Promise<void> {
  const settings = modelSettings(options, ENGINE_KEYS);
  await using model = await openModel(settings);
  await using engine = await openEngine(settings, model);
  const { tokenizer, chatTemplate } = await loadTextModel(settings.model.path, model, engine);
  const messages: TemplateMessage[] = options.system ? [{ role: "system", content: options.system }] : [];
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: "you: " });
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() === "") break;
    messages.push({ role: "user", content: line });
    const prompt = tokenizer.encode(chatTemplate.render(messages, { addGenerationPrompt: true }));
    if (prompt.length >= engine.maxContext) {
      throw new ConfigError(
        `The conversation has ${prompt.length} tokens, which leaves no room for a reply in a context of ${engine.maxContext} ` +
          "(the model's, or `rollout.max_model_len`): start a new one",
      );
    }
    const decoder = new StreamDecoder(tokenizer);
    let reply = "";
    const say = (text: string) => {
      reply += text;
      if (!output.json) process.stdout.write(text);
    };
    for await (const event of engine.stream(prompt, {
      maxTokens: options.maxTokens,
      temperature: options.temperature,
      stopTokenIds: tokenizer.endIds,
      seed: randomBytes(8).readBigUInt64LE(),
    })) {
      say(decoder.push(event.token));
    }
    say(decoder.end());
    if (!output.json) process.stdout.write("\n");
    output.result({ role: "assistant", content: reply });
    messages.push({ role: "assistant", content: reply });
    terminal.prompt();
  }
  terminal.close();
}
