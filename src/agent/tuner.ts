import type OpenAI from "openai";
import type { PythonResult } from "./tools.js";

/** Base URL and key of the episode's own endpoint; the key dies with the episode. */
export interface BaseUrlAndKey {
  /** Ends in `/v1`. */
  baseUrl: string;
  apiKey: string;
}

/** The episode's way to the model that is being trained. */
export interface Tuner {
  /** A client of the official `openai` package. */
  asRawOpenaiSdkClient(): OpenAI;
  asOaiBaseurlApikey(): BaseUrlAndKey;
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
