import OpenAI from "openai";
import type { CallRecord } from "../../src/rollout/call-record.js";
import type { OpenSession, RunningServer, ServerOptions, ServeSession } from "../../src/serve/contract.js";
import { startServer } from "../../src/serve/server.js";
import { loadChatTemplate } from "../../src/text/chat-template.js";
import { loadTokenizer } from "../../src/text/tokenizer.js";
import { type Script, ScriptedEngine } from "./scripted-engine.js";

const tinyChat = new URL("../text/fixtures/tiny-chat", import.meta.url).pathname;

/** The fixture's tokenizer and ChatML template. */
export const tokenizer = await loadTokenizer(tinyChat);
export const chatTemplate = await loadChatTemplate(tinyChat, tokenizer);
/** Ends a turn. */
export const END = tokenizer.endIds[0] as number;

/** The ids of a reply that says `text` and ends. */
export function saying(text: string): number[] {
  return [...tokenizer.encode(text), END];
}

/** A tool call in the format of the template. */
export function toolCall(name: string, args: string): string {
  return `<tool_call>\n{"name": "${name}", "arguments": ${args}}\n</tool_call>`;
}

export const TOOLS: OpenAI.ChatCompletionTool[] = [
  { type: "function", function: { name: "execute_python", description: "Runs code", parameters: { type: "object" } } },
];

/** A session's options, all neutral. */
export function sessionOptions(apiKey: string, overrides: Partial<ServeSession> = {}): ServeSession {
  return {
    apiKey,
    seed: 1n,
    training: false,
    defaults: { temperature: 1, topP: 1, topK: 0, minP: 0, maxTokens: 256 },
    forceTemperature: false,
    record: () => {},
    ...overrides,
  };
}

/** A server on a real port in front of a scripted engine, with one open session. */
export class Harness {
  readonly records: CallRecord[] = [];
  readonly errors: unknown[] = [];
  session!: OpenSession;
  private constructor(
    readonly server: RunningServer,
    readonly engine: ScriptedEngine,
    errors: unknown[],
  ) {
    this.errors = errors;
  }

  static async start(script: Script, options: Partial<ServerOptions> = {}): Promise<Harness> {
    const engine = new ScriptedEngine(tokenizer, script);
    const errors: unknown[] = [];
    const onError = (error: unknown) => errors.push(error);
    const server = await startServer({ engine, tokenizer, chatTemplate, modelName: "tiny-chat", onError, ...options });
    const harness = new Harness(server, engine, errors);
    harness.session = harness.open("key");
    return harness;
  }

  /** Opens a session whose calls are recorded. */
  open(apiKey: string, overrides: Partial<ServeSession> = {}): OpenSession {
    return this.server.open(sessionOptions(apiKey, { record: (call) => this.records.push(call), ...overrides }));
  }

  client(apiKey = "key"): OpenAI {
    return new OpenAI({ baseURL: this.server.baseUrl, apiKey, maxRetries: 0 });
  }

  /** A bare request, for what the client library would not send. */
  fetch(path: string, init: RequestInit & { key?: string | null } = {}): Promise<Response> {
    const { key = "key", headers, ...rest } = init;
    return fetch(`http://127.0.0.1:${this.server.port}${path}`, {
      ...rest,
      headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...(headers as Record<string, string>) },
    });
  }

  /** Posts a chat request. */
  post(body: unknown, key?: string | null): Promise<Response> {
    return this.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...(key === undefined ? {} : { key }),
    });
  }
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 45_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("The condition did not come true within 45 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
