import OpenAI from "openai";
import type { PythonResult } from "../agent/tools.js";
import type { BaseUrlAndKey, Tuner } from "../agent/tuner.js";

// As they were before any user code: a workflow that replaces `fetch` replaces its own only.
const { fetch, AbortSignal } = globalThis;

/** The tuner of one episode. Its requests end with the episode. */
export class EpisodeTuner implements Tuner {
  /** What happened that depends on the clock. */
  readonly unrepeatable: string[] = [];

  constructor(
    readonly config: Readonly<Record<string, unknown>>,
    private readonly endpoint: BaseUrlAndKey,
    private readonly runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>,
    private readonly signal: AbortSignal,
  ) {}

  asRawOpenaiSdkClient(): OpenAI {
    return new OpenAI({
      baseURL: this.endpoint.baseUrl,
      apiKey: this.endpoint.apiKey,
      // A call that was retried would be recorded twice; the episode is what is retried.
      maxRetries: 0,
      timeout: 2 ** 31 - 1, // the episode's limit holds
      fetch: (url, init) => {
        const signals = init?.signal ? [init.signal, this.signal] : [this.signal];
        return fetch(url, { ...init, signal: AbortSignal.any(signals) });
      },
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
