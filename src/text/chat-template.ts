import { join } from "node:path";
import { Environment, Interpreter, parse, tokenize } from "@huggingface/jinja";
import { AjetError, FileError } from "../native/errors.js";
import { isJsonObject, type JsonObject, readJsonObject, readTextFile } from "./json-file.js";
import { LruCache } from "./lru-cache.js";
import { strftime } from "./strftime.js";

/** A tool call as templates expect it: `arguments` is an object wherever the text was one. */
export interface TemplateToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: unknown };
}

/** A message as a chat template sees it. */
export interface TemplateMessage {
  role: string;
  content: string;
  name?: string;
  tool_calls?: TemplateToolCall[];
  tool_call_id?: string;
  reasoning_content?: string;
}

export interface RenderOptions {
  tools?: readonly unknown[] | undefined;
  /** Open the assistant's turn at the end (default). */
  addGenerationPrompt?: boolean;
  /** Further variables of the template, such as `enable_thinking`. */
  variables?: Readonly<JsonObject> | undefined;
}

/** The template refused the messages (`raise_exception`) or cannot render them. */
export class TemplateError extends AjetError {
  constructor(message: string, options?: ErrorOptions) {
    super("ERR_AJET_TEMPLATE", message, options);
  }
}

/** What `strftime_now` tells: a fixed day, so that the same messages give the same prompt on every day. */
const TEMPLATE_DATE = new Date(Date.UTC(2024, 6, 26));

const CACHED_RENDERINGS = 512;

type Program = ReturnType<typeof parse>;

/** A model's chat template. */
export class ChatTemplate {
  private readonly cache = new LruCache<string, string>(CACHED_RENDERINGS);
  private readonly program: Program;
  private readonly toolProgram: Program;

  /** `toolSource` is the template for requests with tools, where the model has one of its own. */
  constructor(
    source: string,
    private readonly tokens: { bosToken: string; eosToken: string },
    toolSource = source,
  ) {
    this.program = compile(source);
    this.toolProgram = toolSource === source ? this.program : compile(toolSource);
  }

  /** The prompt's text. Throws `TemplateError` with the template's own message. */
  render(messages: readonly TemplateMessage[], options: RenderOptions = {}): string {
    const { tools, addGenerationPrompt = true, variables } = options;
    const key = JSON.stringify([messages, tools, addGenerationPrompt, variables]);
    let text = this.cache.get(key);
    if (text === undefined) {
      text = this.run({
        ...variables,
        messages,
        tools: tools === undefined || tools.length === 0 ? null : tools,
        add_generation_prompt: addGenerationPrompt,
        bos_token: this.tokens.bosToken,
        eos_token: this.tokens.eosToken,
      });
      this.cache.set(key, text);
    }
    return text;
  }

  private run(variables: JsonObject): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries(GLOBALS)) environment.set(name, value);
    try {
      const scope = new Environment(environment);
      for (const [name, value] of Object.entries(variables)) scope.set(name, value);
      const program = variables["tools"] === null ? this.program : this.toolProgram;
      return String(new Interpreter(scope).run(program).value);
    } catch (cause) {
      throw new TemplateError((cause as Error).message, { cause });
    }
  }
}

/** Reads `chat_template.jinja`, else tokenizer_config.json's `chat_template` (a string or a list of named ones). */
export async function loadChatTemplate(
  dir: string,
  tokens: { bosToken: string; eosToken: string },
): Promise<ChatTemplate> {
  const path = join(dir, "chat_template.jinja");
  const source = await readTextFile(path);
  if (source !== undefined) return compileFile(path, () => new ChatTemplate(source, tokens));
  const configPath = join(dir, "tokenizer_config.json");
  const entry = (await readJsonObject(configPath))?.["chat_template"];
  if (typeof entry === "string") return compileFile(configPath, () => new ChatTemplate(entry, tokens));
  const named = new Map(
    (Array.isArray(entry) ? entry : []).filter(isJsonObject).map((item) => [item["name"], item["template"]]),
  );
  const fallback = named.get("default");
  const forTools = named.get("tool_use");
  if (typeof fallback === "string") {
    const toolSource = typeof forTools === "string" ? forTools : fallback;
    return compileFile(configPath, () => new ChatTemplate(fallback, tokens, toolSource));
  }
  throw new FileError(
    `No chat template in ${dir}: expected chat_template.jinja or \`chat_template\` in tokenizer_config.json`,
  );
}

function compile(source: string): Program {
  // As in transformers: a block's line leaves nothing behind.
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

function compileFile(path: string, build: () => ChatTemplate): ChatTemplate {
  try {
    return build();
  } catch (cause) {
    throw new FileError(`The chat template in ${path} does not parse: ${(cause as Error).message}`, { cause });
  }
}

const GLOBALS: Readonly<JsonObject> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message);
  },
  range: (first: number, last?: number, step = 1) => {
    const [start, stop] = last === undefined ? [0, first] : [first, last];
    if (step === 0) throw new Error("range() arg 3 must not be zero");
    return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step);
  },
  strftime_now: (format: string) => strftime(TEMPLATE_DATE, format),
};
