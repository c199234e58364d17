import { setMaxListeners } from "node:events";
import OpenAI from "openai";
import type { PythonResult } from "../agent/tools.js";
import type { AgentOptions, BaseUrlAndKey, Tuner } from "../agent/tuner.js";
import { OpenAIChatModel } from "../agentscope/chat-model.js";
import { type AgentRoute, type AgentRoutes, routeAgent } from "./agent-routes.js";
import { episodeFetch, withModel } from "./episode-fetch.js";

/** Where an episode's requests go. */
export interface EpisodeEndpoints extends Pick<BaseUrlAndKey, "baseUrl" | "apiKey"> {
  /** Absent: all agents are trained. */
  routes?: AgentRoutes | undefined;
}

/** The tuner of one episode. Its requests end with the episode. */
export class EpisodeTuner implements Tuner {
  /** What happened that depends on the clock. */
  readonly unrepeatable: string[] = [];
  readonly fetch: typeof globalThis.fetch;

  constructor(
    readonly config: Readonly<Record<string, unknown>>,
    private readonly endpoints: EpisodeEndpoints,
    private readonly runPython: (code: string, timeoutMs?: number) => Promise<PythonResult>,
    private readonly signal: AbortSignal,
  ) {
    setMaxListeners(0, signal); // every call of an episode listens
    const { baseUrl, routes } = endpoints;
    const own = routes === undefined || routes.isOutside ? [baseUrl] : [baseUrl, routes.others.baseUrl];
    this.fetch = episodeFetch(own, signal);
  }

  asRawOpenaiSdkClient(agent?: AgentOptions): OpenAI {
    const { baseUrl, apiKey, model, isOutside } = this.route(agent);
    return new OpenAI({
      baseURL: baseUrl,
      apiKey,
      // A call that was retried would be recorded twice; the episode is what is retried.
      maxRetries: isOutside ? 2 : 0,
      timeout: 2 ** 31 - 1, // the episode's limit holds
      fetch: isOutside ? withModel(model, this.fetch) : this.fetch,
    });
  }

  asOaiBaseurlApikey(agent?: AgentOptions): BaseUrlAndKey {
    const { baseUrl, apiKey, model } = this.route(agent);
    return { baseUrl, apiKey, model };
  }

  asAgentscopeModel(agent?: AgentOptions): OpenAIChatModel {
    return new OpenAIChatModel(this.asRawOpenaiSdkClient(agent), this.route(agent).model);
  }

  async executePython(code: string, options: { timeoutMs?: number } = {}): Promise<PythonResult> {
    this.signal.throwIfAborted();
    if (typeof code !== "string") throw new TypeError(`Expected a string for \`code\` but received ${typeof code}`);
    const result = await this.runPython(code, options.timeoutMs);
    if (result.limit === "time") this.unrepeatable.push("a Python program ran into its wall-clock limit");
    return result;
  }

  private route(agent: AgentOptions | undefined): AgentRoute {
    const { baseUrl, apiKey, routes } = this.endpoints;
    return routeAgent({ baseUrl, apiKey, model: "ajet" }, routes, agent);
  }
}
