import { setTimeout as sleep } from "node:timers/promises";
import type { GymStep } from "../agent/gym-env.js";
import type { ChatMessage } from "../agent/task.js";
import { ConfigError, NetworkError } from "../native/errors.js";
import { reasonOf } from "../net/fetch-failure.js";
import { patientFetch } from "../net/patient-fetch.js";
import { timeLimit } from "../net/time-limit.js";
import { firstMessages, messagesOf } from "./env-messages.js";

/** How an environment service is reached; the values of `task_reader.env_service`. */
export interface EnvServiceSettings {
  env_url: string;
  env_type: string;
  timeout_s: number;
  /** Of a request that may be repeated. */
  attempts: number;
}

/** The body of every request. */
interface EnvRequest {
  env_type: string;
  task_id?: string;
  instance_id?: string;
  messages?: object;
  params?: object;
}

/** What an environment made of an instance that was just made. */
export interface EnvStart {
  messages: ChatMessage[];
  info: Record<string, unknown>;
}

const PAUSE_MS = 500;
/** A connection for each request: one that idled may be closed by the service just when a step is sent, which is then lost. */
const HEADERS = { "content-type": "application/json", connection: "close" };
/** Steps, evaluations and releases name an instance, and no kind: AgentJet sends this word. */
const OF_INSTANCE = "default";

/** A client of AgentEvolver's environment service: JSON over POST, one instance an episode. */
export class EnvServiceClient {
  readonly #url: string;

  constructor(private readonly settings: EnvServiceSettings) {
    this.#url = settings.env_url.replace(/\/+$/, "");
  }

  /** The ids of a split's tasks. */
  async taskIds(split: string): Promise<string[]> {
    const body = { env_type: this.settings.env_type, params: { split } };
    const answer = await this.#repeat("get_env_profile", body);
    const ids = answer["data"] ?? answer["task_ids"];
    if (!Array.isArray(ids) || ids.some((id) => typeof id !== "string" && typeof id !== "number")) {
      throw this.#wrong("get_env_profile", "a list of task ids as `data`", ids);
    }
    return ids.map(String);
  }

  /** Makes an instance of a task. */
  async create(taskId: string, instanceId: string, signal?: AbortSignal): Promise<EnvStart> {
    const body = { env_type: this.settings.env_type, task_id: taskId, instance_id: instanceId, params: {} };
    const data = record((await this.#repeat("create", body, signal))["data"]);
    const messages = firstMessages(data["state"]);
    if (messages === undefined) throw this.#wrong("create", "messages as `data.state`", data["state"]);
    return { messages, info: record(data["info"]) };
  }

  /** Sends an action. Never repeated where the service may have had it: the environment would move twice. */
  async step(instanceId: string, action: object, signal?: AbortSignal): Promise<GymStep> {
    const body = { env_type: OF_INSTANCE, instance_id: instanceId, messages: action, params: {} };
    const data = record((await this.#post("step", body, signal))["data"]);
    const { state, reward = 0, is_terminated: isTerminated, info } = data;
    const messages = messagesOf(Array.isArray(state) ? state[0] : state);
    if (messages === undefined) throw this.#wrong("step", "a message as `data.state[0]`", state);
    if (!Number.isFinite(reward)) throw this.#wrong("step", "a finite number as `data.reward`", reward);
    return { messages, reward: reward as number, isTerminated: isTerminated === true, info: record(info) };
  }

  /** The instance's score so far. `params` stands in both places where services look for it. */
  async evaluate(instanceId: string, params: object = {}, signal?: AbortSignal): Promise<number> {
    const body = { env_type: OF_INSTANCE, instance_id: instanceId, messages: params, params };
    const { data } = await this.#repeat("evaluate", body, signal);
    if (typeof data !== "number" || !Number.isFinite(data)) {
      throw this.#wrong("evaluate", "a finite number as `data`", data);
    }
    return data;
  }

  /** Gives the instance back. */
  async release(instanceId: string): Promise<void> {
    await this.#repeat("release", { env_type: OF_INSTANCE, instance_id: instanceId });
  }

  /** What the environment tells about an instance. */
  async info(instanceId: string, params: object = {}): Promise<unknown> {
    return (await this.#repeat("get_info", { env_type: OF_INSTANCE, instance_id: instanceId, params }))["data"];
  }

  /** True where the service answers. */
  async isHealthy(): Promise<boolean> {
    const signal = timeLimit(this.settings.timeout_s * 1000);
    return fetch(`${this.#url}/healthz`, { signal }).then(
      (response) => response.ok,
      () => false,
    );
  }

  async #repeat(path: string, body: EnvRequest, signal?: AbortSignal): Promise<Record<string, unknown>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#post(path, body, signal);
      } catch (error) {
        if (attempt >= this.settings.attempts || !(error instanceof NetworkError)) throw error;
        await sleep(PAUSE_MS * 2 ** (attempt - 1), undefined, signal ? { signal } : {});
      }
    }
  }

  async #post(path: string, body: EnvRequest, signal?: AbortSignal): Promise<Record<string, unknown>> {
    const { timeout_s } = this.settings;
    const limit = timeLimit(timeout_s * 1000);
    const whole = { task_id: null, instance_id: null, messages: {}, params: {}, ...body };
    let response: Response;
    let text: string;
    try {
      response = await patientFetch(`${this.#url}/${path}`, {
        method: "POST",
        headers: HEADERS,
        body: JSON.stringify(whole),
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      text = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      const reason = limit.aborted ? `no answer within ${timeout_s} s` : reasonOf(error);
      throw new NetworkError(`The environment service ${this.#url} cannot be reached (${path}): ${reason}`, {
        cause: error,
      });
    }
    return this.#checked(path, response.status, text);
  }

  #checked(path: string, status: number, text: string): Record<string, unknown> {
    const answer = parse(text);
    const detail = String(record(answer)["detail"] ?? record(answer)["error"] ?? text).slice(0, MOST_DETAIL);
    // 4xx: the same request would be refused again.
    if (status >= 400 && status < 500) {
      throw new ConfigError(`The environment service ${this.#url} refuses /${path} (${status}): ${detail}`);
    }
    if (status !== 200)
      throw new NetworkError(`The environment service ${this.#url}/${path} failed (${status}): ${detail}`);
    if (typeof answer !== "object" || answer === null)
      throw this.#wrong(path, "a JSON object", text.slice(0, MOST_DETAIL));
    if (record(answer)["success"] === false) {
      throw new ConfigError(`The environment service ${this.#url} refuses /${path}: ${detail}`);
    }
    return record(answer);
  }

  #wrong(path: string, expected: string, received: unknown): ConfigError {
    const shown = (JSON.stringify(received) ?? String(received)).slice(0, MOST_DETAIL);
    return new ConfigError(
      `Expected ${expected} from the environment service ${this.#url}/${path} but received ${shown}`,
    );
  }
}

/** Characters of an answer that a message shows. */
const MOST_DETAIL = 400;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
