import OpenAI from "openai";
import type { PythonResult } from "../agent/tools.js";
import type { BaseUrlAndKey, Tuner } from "../agent/tuner.js";
import { episodeFetch } from "./episode-fetch.js";

/** The tuner of one episode. Its requests end with the episode. */
export class EpisodeTuner implements Tuner {
  /** What happened that depends on the clock. */
  readonly unrepeatable: string[] = [];
  readonly fetch: typeof globalThis.fetch;

  constructor(
    readonly config: Readonly<Record<string, unknown>>,
    private readonly endpoint: BaseUrlAndKey,
    private readonly runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>,
    private readonly signal: AbortSignal,
  ) {
    this.fetch = episodeFetch(endpoint.baseUrl, signal);
  }

  asRawOpenaiSdkClient(): OpenAI {
    return new OpenAI({
      baseURL: this.endpoint.baseUrl,
      apiKey: this.endpoint.apiKey,
      // A call that was retried would be recorded twice; the episode is what is retried.
      maxRetries: 0,
      timeout: 2 ** 31 - 1, // the episode's limit holds
      fetch: this.fetch,
    });
  }

  asOaiBaseurlApikey(): BaseUrlAndKey {
    return { ...this.endpoint };
  }

  async executePython(code: string, options: { timeoutMs?: number } = {}): Promise<PythonResult> {
    this.signal.throwIfAborted();
    if (typeof code !== "string") throw new TypeError(`Expected a string for \`code\` but received ${typeof code}`);
    const result = await this.runPython(code, options.timeoutMs);
    if (result.limit === "time") this.unrepeatable.push("a Python program ran into its wall-clock limit");
    return result;
  }
}
