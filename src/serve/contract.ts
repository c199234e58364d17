import type { CallRecord } from "../rollout/call-record.js";
import type { ChatTemplate } from "../text/chat-template.js";
import type { Tokenizer } from "../text/tokenizer.js";
import type { TextEngine } from "./text-engine.js";

/** Who may call the server, and what becomes of the calls. */
export interface ServeSession {
  /** The bearer key. */
  apiKey: string;
  /** Mixed into every request's seed, so that draws depend on the episode's identity and never on arrival. */
  seed: bigint;
  /** Training rollouts refuse what the trainer cannot honour (top_p, top_k, min_p, penalties, logit_bias). */
  training: boolean;
  /** Used where the request names none. */
  defaults: { temperature: number; topP: number; topK: number; minP: number; maxTokens: number };
  /** The request's own `temperature` gives way to `defaults.temperature` (training; the design's one temperature). */
  forceTemperature: boolean;
  /** Receives each finished choice. */
  record: (call: CallRecord) => void;
  /** Told when a request was refused because its messages leave no room in the context. */
  onContextOverflow?: () => void;
  /** Told when the session's episode is offered to agents outside, and when one of them takes it. */
  onEpisode?: (event: "offered" | "taken") => void;
}

/**
 * Where a follow-up prompt left the recorded tokens, because something in it differs from what was sent or returned
 * before.
 */
export interface PromptFork {
  /** Index into the request's `messages`; -1 where the difference lies in no message. */
  messageIndex: number;
  /** The field that differs, e.g. `content`, `tool_calls[0].function.arguments`, `tools`, or `template`. */
  field: string;
}

/** An opened session, as its owner sees it. Stays readable after `close`. */
export interface OpenSession {
  readonly apiKey: string;
  /** Each difference once, in the order of discovery. */
  readonly forks: readonly PromptFork[];
  /** Requests being answered now. */
  readonly inFlight: number;
}

/** What `startServer` needs. */
export interface ServerOptions {
  engine: TextEngine;
  tokenizer: Tokenizer;
  chatTemplate: ChatTemplate;
  /** Listed by `/v1/models`; requests may name any model. */
  modelName: string;
  /** Default 127.0.0.1. */
  host?: string;
  /** Default 0: any free port. */
  port?: number;
  /** Requests that wait or run at once; one more is answered with 429. Default 4096. */
  maxPending?: number;
  /** Largest request body, default 32 MiB. */
  maxBodyBytes?: number;
  /** Lets who has this key take episodes (`POST /v1/episodes/begin`). */
  episodeApiKey?: string;
  /** Told of every failure that is answered with 500. */
  onError?: (error: unknown) => void;
}

/** The running server, as the rollout sees it. */
export interface RunningServer {
  /** `http://127.0.0.1:PORT/v1` */
  readonly baseUrl: string;
  readonly port: number;
  /** Opens a session for a key. */
  open(session: ServeSession): OpenSession;
  /** Cancels the session's requests in flight, revokes its key and resolves when none is left. */
  close(apiKey: string): Promise<void>;
  /** Shows numbers at `/metrics`, under their names as Prometheus spells them, in place of the ones of these names. */
  publishMetrics(values: Readonly<Record<string, number>>): void;
  stop(): Promise<void>;
}
