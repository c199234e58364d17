import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

interface Logged {
  key: string;
  value: number;
  step: number;
  timestamp: number;
}

/** A request of the tests' MLflow server. */
export interface Asked {
  path: string;
  authorization: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: what tests look into
  body: any;
}

/** As much of MLflow's REST API as the logger uses, with the real server's error bodies. */
export class MlflowServer {
  readonly asked: Asked[] = [];
  readonly points: Logged[] = [];
  readonly tags = new Map<string, string>();
  /** Answered in place of the real answer; `lost answer` does what is asked, and says nothing. */
  trouble: { status: number; body: string } | "silence" | "lost answer" | undefined;
  readonly #server: Server;
  #hasExperiment = false;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const asked = await this.#note(request);
      if (this.trouble === "silence") return;
      const { trouble } = this;
      const [status, body] = typeof trouble === "object" ? [trouble.status, trouble.body] : this.#answer(asked);
      if (trouble === "lost answer") return;
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Points as series, in the order of their arrival. */
  series(): Record<string, [number, number][]> {
    const series: Record<string, [number, number][]> = {};
    for (const { key, step, value } of this.points) {
      series[key] ??= [];
      series[key].push([step, value]);
    }
    return series;
  }

  bodiesOf(path: string) {
    return this.asked.filter((asked) => asked.path === path).map(({ body }) => body);
  }

  async #note(request: IncomingMessage): Promise<Asked> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const path = (request.url as string).replace("/api/2.0/mlflow/", "").split("?")[0] as string;
    const asked = { path, authorization: request.headers.authorization, body: text && JSON.parse(text) };
    this.asked.push(asked);
    return asked;
  }

  #answer({ path, body }: Asked): [number, string] {
    if (path === "experiments/get-by-name" && !this.#hasExperiment) {
      return [404, '{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"No Experiment with name=ajet test exists"}'];
    }
    if (path.startsWith("experiments/")) this.#hasExperiment = true;
    if (path === "experiments/get-by-name") return [200, '{"experiment":{"experiment_id":"7"}}'];
    if (path === "experiments/create") return [200, '{"experiment_id":"7"}'];
    if (path === "runs/create") return [200, '{"run":{"info":{"run_id":"r1"}}}'];
    if (path === "runs/get") {
      const tags = [...this.tags].map(([key, value]) => ({ key, value }));
      return [200, JSON.stringify({ run: { data: { tags } } })];
    }
    this.points.push(...(body.metrics ?? []));
    for (const { key, value } of body.tags ?? []) this.tags.set(key, value);
    return [200, "{}"];
  }
}
