import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { EnvServiceClient } from "../../src/env/env-service-client.js";
import { RunLlm } from "../../src/judges/llm/run-llm.js";
import { patientFetch } from "../../src/net/patient-fetch.js";
import { episodeFetch } from "../../src/rollout/episode-fetch.js";

const DISPATCHER = Symbol.for("undici.globalDispatcher.1");
const global = globalThis as unknown as Record<symbol, object>;

/** Answers once Node's own `fetch`, asked later, has given up waiting: first for the begin, then for the end. */
const server = createServer(async (request, response) => {
  request.resume();
  if (request.url === "/silent") return;
  if (request.url === "/torn") return void response.write("{");
  const own = `http://127.0.0.1:${request.socket.localPort}`;
  const giveUp = async (path: string) => {
    const reading = fetch(`${own}/${path}`).then((other) => other.text());
    problems.push(await reading.catch(({ cause }) => cause.code));
  };
  await giveUp("silent");
  response.write(`{"data": 1, "choices": [{"message": {"content": "at `);
  await giveUp("torn");
  response.end('last"}}]}');
});
const problems: string[] = [];
let url: string;
let usual: object;

beforeAll(async () => {
  void new Headers(); // has Node load its `fetch`
  usual = global[DISPATCHER] as object;
  const Agent = usual.constructor as new (options: object) => object;
  global[DISPATCHER] = new Agent({ headersTimeout: 1, bodyTimeout: 1 }); // 300 s both, else
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  global[DISPATCHER] = usual;
  server.closeAllConnections();
  server.close();
});

it("agents, environments and judges wait for answers that Node would not wait for", async () => {
  const { signal } = new AbortController();
  const contentOf = async (response: Response) => (await response.json()).choices[0].message.content;
  const env = new EnvServiceClient({ env_url: url, env_type: "e", timeout_s: 240, attempts: 1 });
  const llm = new RunLlm({
    ...{ baseUrl: url, model: "m", temperature: 0, maxTokens: 1, params: {} },
    ...{ maxParallel: 1, timeoutMs: 240_000, maxRetries: 0, firstDelayMs: 1 },
  });
  const answers = await Promise.all([
    patientFetch(url).then(contentOf),
    episodeFetch([url], signal)(url).then(contentOf),
    llm.ask({ messages: [] }),
    env.evaluate("i"),
  ]);
  expect(answers).toEqual(["at last", "at last", "at last", 1]);
  expect(problems).toHaveLength(2 * answers.length);
  for (const problem of problems) expect(problem).toMatch(/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/);
});

it("ends with its signal", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const asking = patientFetch(`${url}/silent`, { signal: controller.signal });
  controller.abort(reason);
  await expect(asking).rejects.toBe(reason);
});
