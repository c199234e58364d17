import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { LlmSettings } from "../../../src/judges/llm/llm-settings.js";

export interface SeenRequest {
  /** From 1. */
  number: number;
  body: { model: string; messages: { role: string; content: string }[]; [field: string]: unknown };
  headers: IncomingMessage["headers"];
  atMs: number;
}

/** What the endpoint does with a request. */
export interface Behaviour {
  /** Of the completion. */
  answer?: string;
  status?: number;
  headers?: Record<string, string>;
  /** Instead of a completion. */
  raw?: string;
  delayMs?: number;
  /** Drops the connection. */
  hangUp?: boolean;
}

/** A chat endpoint on a real port that answers, or misbehaves, as it is told. */
export class LocalEndpoint {
  readonly requests: SeenRequest[] = [];
  running = 0;
  mostRunning = 0;
  private readonly server = createServer((request, response) => void this.handle(request, response));

  private constructor(public behave: (request: SeenRequest) => Behaviour) {}

  static async start(behave: (request: SeenRequest) => Behaviour): Promise<LocalEndpoint> {
    const endpoint = new LocalEndpoint(behave);
    await new Promise<void>((resolve) => endpoint.server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Settings that ask it, without waiting long. */
  settings(over: Partial<LlmSettings> = {}): LlmSettings {
    return {
      ...{ baseUrl: this.baseUrl, model: "judge", apiKey: "secret", temperature: 0, maxTokens: 64, params: {} },
      ...{ maxParallel: 8, timeoutMs: 10_000, maxRetries: 3, firstDelayMs: 5 },
      ...over,
    };
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    try {
      let text = "";
      for await (const chunk of request) text += chunk;
      const seen = {
        number: this.requests.length + 1,
        body: JSON.parse(text),
        headers: request.headers,
        atMs: performance.now(),
      };
      this.requests.push(seen);
      const { answer = "", status = 200, headers = {}, raw, delayMs = 0, hangUp } = this.behave(seen);
      await sleep(delayMs);
      if (hangUp) response.destroy();
      const message = { role: "assistant", content: answer };
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(raw ?? JSON.stringify({ choices: [{ index: 0, message, finish_reason: "stop" }] }));
    } finally {
      this.running--;
    }
  }
}

/** Grades as the judges' prompts ask for: a verdict where the answer holds the reference, a ranking by length. */
export function gradeByRule({ body }: SeenRequest): Behaviour {
  const text = body.messages.at(-1)?.content ?? "";
  const reference = /Reference answer:\n(.*)\n/.exec(text)?.[1];
  if (reference !== undefined) {
    const answer = /BEGIN ANSWER\n([\s\S]*)\nEND ANSWER/.exec(text)?.[1] ?? "";
    return { answer: answer.split(/\D+/).includes(reference) ? "It is <Correct>" : "<NotCorrect>" };
  }
  const candidates = [...text.matchAll(/BEGIN CANDIDATE (\d+)\n([\s\S]*?)\nEND CANDIDATE \1$/gm)];
  const levels = new Map<number, number[]>();
  for (const [, number, candidate = ""] of candidates) {
    levels.set(candidate.length, [...(levels.get(candidate.length) ?? []), Number(number)]);
  }
  const ranking = [...levels].sort(([a], [b]) => a - b).map(([, numbers]) => numbers);
  const acceptable = candidates
    .filter(([, , candidate]) => candidate?.includes("5"))
    .map(([, number]) => Number(number));
  return { answer: `Here you are:\n\`\`\`json\n${JSON.stringify({ ranking, acceptable })}\n\`\`\`` };
}
