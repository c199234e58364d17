import type OpenAI from "openai";
import type { OpenAIChatModel } from "../agentscope/chat-model.js";
import type { PythonResult } from "./tools.js";

/** Base URL and key of the episode's own endpoint; the key dies with the episode. */
export interface BaseUrlAndKey {
  /** Ends in `/v1`. */
  baseUrl: string;
  apiKey: string;
  /** What to send as `model`. The trainer's own server takes any name. */
  model: string;
}

/** Which of a workflow's agents calls the model. */
export interface AgentOptions {
  /** Stands beside its calls in the token log, and keeps its draws apart from those of the others. */
  agentName?: string;
  /** What `rollout.trainable_targets` calls it, default `agentName`. An agent that is not among them is not trained. */
  targetTag?: string;
}

/** The episode's way to the model that is being trained. */
export interface Tuner {
  /** A client of the official `openai` package. */
  asRawOpenaiSdkClient(agent?: AgentOptions): OpenAI;
  /** For any client, in this process or another. */
  asOaiBaseurlApikey(agent?: AgentOptions): BaseUrlAndKey;
  /** The model of a `ReActAgent`. */
  asAgentscopeModel(agent?: AgentOptions): OpenAIChatModel;
  /**
   * For other clients that take a `fetch`. It ends with the episode, and it numbers equal requests as they are made: of two
   * that are under way at once, each gets the same draw in every run, whichever arrives first.
   */
  readonly fetch: typeof globalThis.fetch;
  /** Runs Python code in the sandbox: no network, no writable disk, limits on CPU, memory, time and output. */
  executePython(code: string, options?: { timeoutMs?: number }): Promise<PythonResult>;
  /** The run's resolved configuration (read only). */
  readonly config: Readonly<Record<string, unknown>>;
}
