import { request } from "node:http";
import { onTestFinished } from "vitest";
import { type RunningLogview, startLogview } from "../../src/logview/server.js";

/** The viewer on a folder, with a client that has its token. Ends with the test, or with `stop`. */
export class Viewer {
  private constructor(
    readonly logview: RunningLogview,
    readonly token: string,
  ) {}

  static async open(folder: string, untilTestEnds = true): Promise<Viewer> {
    const logview = await startLogview({ folder });
    if (untilTestEnds) onTestFinished(() => logview.stop());
    return new Viewer(logview, new URL(logview.url).searchParams.get("token") ?? "");
  }

  /** The raw answer to a path as it is given: nothing normalises it on the way. */
  raw(
    path: string,
    headers: Record<string, string> = {},
    method = "GET",
  ): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          host: "127.0.0.1",
          port: this.logview.port,
          path,
          method,
          headers: { authorization: `Bearer ${this.token}`, ...headers },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(parts).toString("utf8"),
            }),
          );
        },
      );
      asked.on("error", reject);
      asked.end();
    });
  }

  async status(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<number> {
    return (await this.raw(path, headers, method)).status;
  }

  /** A JSON answer. */
  async get<T>(name: string, query: Record<string, string | number> = {}): Promise<T> {
    const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    const { status, body } = await this.raw(`/api/${name}?${search}`);
    if (status !== 200) throw new Error(`${name}: ${status} ${body}`);
    return JSON.parse(body) as T;
  }
}
