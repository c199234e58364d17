import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FrozenLakeEnv } from "./frozen-lake-env.js";
import type { Lake } from "./lake.js";
import { drawMaps } from "./maps.js";

/** The maps of each split; `train-17` is the task id of a map. No map of `dev` is one of `train`. */
const SPLITS: Readonly<Record<string, readonly Lake[]>> = {
  train: drawMaps("train", 1024, false),
  dev: drawMaps("dev", 200, true),
};
const IDLE_MS = 3_600_000;

interface Instance {
  env: FrozenLakeEnv;
  usedAt: number;
}

interface Body {
  task_id?: string | null;
  instance_id?: string | null;
  messages?: { content?: unknown };
  params?: { split?: string };
}

/** What a request does wrong: status 400. */
class BadRequest extends Error {}

/** An environment service (AgentEvolver's protocol) with one environment, the frozen lake. */
export class FrozenLakeServer {
  readonly #instances = new Map<string, Instance>();
  readonly #server: Server;
  readonly #sweep: NodeJS.Timeout;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
    // A connection that is closed while a step is on its way loses the step: clients close theirs first.
    this.#server.keepAliveTimeout = 0;
    this.#sweep = setInterval(() => this.#releaseIdle(), IDLE_MS / 12).unref();
  }

  /** @param port 0 takes a free one. */
  static async start(port: number, host = "127.0.0.1"): Promise<FrozenLakeServer> {
    const server = new FrozenLakeServer();
    await new Promise<void>((resolve, reject) => {
      server.#server.once("error", reject).listen(port, host, resolve);
    });
    return server;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}`;
  }

  /** Instances that are not released. */
  get instances(): number {
    return this.#instances.size;
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweep);
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "").replace(/^\/|\?.*$/g, "");
    if (request.method === "GET" && path === "healthz") {
      response.writeHead(200).end("OK");
      return;
    }
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const data = this.#answer(path, parse(Buffer.concat(chunks).toString("utf8")));
      sendJson(response, 200, { success: true, data });
    } catch (error) {
      const status = error instanceof BadRequest ? 400 : 500;
      sendJson(response, status, { detail: (error as Error).message });
    }
  }

  #answer(path: string, body: Body): unknown {
    if (path === "get_env_profile") return idsOf(body.params?.split ?? "train");
    if (path === "create") return this.#create(body);
    if (path === "release") return void this.#instances.delete(String(body.instance_id));
    const { env } = this.#instanceOf(body);
    if (path === "step") return step(env, body);
    if (path === "evaluate") return env.score;
    if (path === "get_info") return { rows: env.lake.rows };
    throw new BadRequest(`There is no /${path}`);
  }

  #create({ task_id: taskId, instance_id: instanceId }: Body): object {
    if (!taskId || !instanceId) throw new BadRequest("Expected `task_id` and `instance_id`");
    const [split = "", number] = taskId.split(/-(?=\d+$)/);
    const lake = SPLITS[split]?.[Number(number)];
    if (lake === undefined) throw new BadRequest(`There is no task ${taskId}`);
    const env = new FrozenLakeEnv(lake);
    this.#instances.set(instanceId, { env, usedAt: Date.now() });
    const info = { instance_id: instanceId, task_id: taskId };
    return {
      state: [
        { role: "system", content: RULES },
        { role: "user", content: env.observation() },
      ],
      info,
    };
  }

  #instanceOf({ instance_id: id }: Body): Instance {
    const instance = this.#instances.get(String(id));
    if (instance === undefined) throw new BadRequest(`There is no instance ${id}`);
    instance.usedAt = Date.now();
    return instance;
  }

  #releaseIdle(): void {
    for (const [id, { usedAt }] of this.#instances) if (Date.now() - usedAt > IDLE_MS) this.#instances.delete(id);
  }
}

/** What every walk starts with. */
export const RULES =
  "You walk on a frozen lake. P is you, F is ice, H is a hole, G is the goal. Each turn, say one step: up, down, left or right.";

function idsOf(split: string): string[] {
  const maps = SPLITS[split];
  if (maps === undefined)
    throw new BadRequest(`There is no split ${split}; there are ${Object.keys(SPLITS).join(", ")}`);
  return maps.map((_, index) => `${split}-${index}`);
}

function step(env: FrozenLakeEnv, { messages }: Body): object {
  if (env.isOver) throw new BadRequest("The walk is over");
  const { text, reward } = env.step(String(messages?.content ?? ""));
  return { state: [{ role: "user", content: text }], reward, is_terminated: env.isOver, info: {} };
}

function parse(text: string): Body {
  try {
    return JSON.parse(text) as Body;
  } catch {
    throw new BadRequest("The body is not JSON");
  }
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
