import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { EnvServiceClient } from "../../src/env/env-service-client.js";
import { EnvServiceJudge } from "../../src/judges/env-service.js";
import { inEnvironment } from "../../src/rollout/episode-environment.js";
import { EnvServiceTaskReader } from "../../src/tasks/env-service-reader.js";
import { FrozenLakeServer } from "../../tutorial/example_frozenlake/env-server.js";
import { drawMaps } from "../../tutorial/example_frozenlake/maps.js";
import { judgeContract, workflowTaskWith } from "../judges/contract.js";
import { taskReaderContract } from "../tasks/reader-contract.js";

let lake: FrozenLakeServer;
beforeAll(async () => {
  lake = await FrozenLakeServer.start(0);
});
afterAll(() => lake.stop());

const settingsOf = (env_url: string) => ({ env_url, env_type: "frozenlake", timeout_s: 60, attempts: 2 });
const client = () => new EnvServiceClient(settingsOf(lake.url));
const reader = () => new EnvServiceTaskReader(settingsOf(lake.url), { training: "train", validation: "dev" });

taskReaderContract("EnvServiceTaskReader", reader, ["training", "validation"]);

/** Steps that solve a map, by looking at it. */
function solution(rows: string[]): string[] {
  const queue: { row: number; column: number; steps: string[] }[] = [{ row: 0, column: 0, steps: [] }];
  const seen = new Set(["0,0"]);
  const moves = { up: [-1, 0], down: [1, 0], left: [0, -1], right: [0, 1] } as const;
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    if (rows[at.row]?.[at.column] === "G") return at.steps;
    for (const [name, [down, right]] of Object.entries(moves)) {
      const [row, column] = [at.row + down, at.column + right];
      const cell = rows[row]?.[column];
      if (cell === undefined || cell === "H" || seen.has(`${row},${column}`)) continue;
      seen.add(`${row},${column}`);
      queue.push({ row, column, steps: [...at.steps, name] });
    }
  }
  throw new Error(`No way through ${rows}`);
}

async function walk(instance: string, steps: string[]) {
  const answers = [];
  for (const content of steps) answers.push(await client().step(instance, { content, role: "assistant" }));
  return answers;
}

describe("the protocol", () => {
  it("plays an episode to its end", async () => {
    expect(await client().isHealthy()).toBe(true);
    const ids = await client().taskIds("dev");
    expect(ids).toHaveLength(200);
    const { messages, info } = await client().create(ids[3] as string, "i1");
    expect(messages.map(({ role }) => role)).toEqual(["system", "user"]);
    expect(info).toEqual({ instance_id: "i1", task_id: ids[3] });
    const { rows } = (await client().info("i1")) as { rows: string[] };
    expect(await client().evaluate("i1")).toBe(0);
    const answers = await walk("i1", solution(rows));
    expect(answers.map(({ isTerminated }) => isTerminated)).toEqual([...answers.slice(1).map(() => false), true]);
    expect(answers.at(-1)).toMatchObject({ reward: 1, messages: [{ role: "user", content: "You reached the goal." }] });
    expect(await client().evaluate("i1", { sparse: false })).toBe(1);
    const before = lake.instances;
    await client().release("i1");
    expect(lake.instances).toBe(before - 1);
  });

  it("says what the service refuses", async () => {
    await expect(client().taskIds("x")).rejects.toThrow(/refuses \/get_env_profile \(400\): There is no split x/);
    await expect(client().create("dev-900", "i")).rejects.toThrow(/no task dev-900/);
    await expect(client().step("nobody", { content: "up" })).rejects.toThrow(/no instance nobody/);
  });
});

describe("a service that misbehaves", () => {
  type Answer = { status?: number; body: unknown; after?: number };
  /** Answers with what is queued; the last answer stays. Returns what was asked. */
  async function service(...answers: Answer[]): Promise<{ url: string; asked: { path: string; body: object }[] }> {
    const asked: { path: string; body: object }[] = [];
    const server: Server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk) => (text += chunk));
      request.on("end", () => {
        asked.push({ path: request.url as string, body: JSON.parse(text || "null") });
        const { status = 200, body, after = 0 } = (answers.length > 1 ? answers.shift() : answers[0]) as Answer;
        setTimeout(() => response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body)), after);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, asked };
  }

  it("is sent whole bodies, with params where either kind of service looks", async () => {
    const { url, asked } = await service({ body: { data: 0.5 } });
    expect(await new EnvServiceClient(settingsOf(url)).evaluate("i", { sparse: false })).toBe(0.5);
    const params = { sparse: false };
    expect(asked).toEqual([
      { path: "/evaluate", body: { env_type: "default", task_id: null, instance_id: "i", messages: params, params } },
    ]);
  });

  it("is asked again where that does no harm, and never for a step", async () => {
    const failing: Answer = { status: 500, body: { detail: "Traceback" } };
    const flaky = await service(failing, { body: { success: true, data: ["a", 2] } });
    expect(await new EnvServiceClient(settingsOf(flaky.url)).taskIds("train")).toEqual(["a", "2"]);
    const broken = await service(failing);
    await expect(new EnvServiceClient(settingsOf(broken.url)).step("i", { content: "" })).rejects.toThrow(
      /500\): Traceback/,
    );
    expect(broken.asked).toHaveLength(1);
  });

  it("loses no step where it closes a connection that idled", async () => {
    const used = new WeakSet<object>();
    const server = createServer((request, response) => {
      if (used.has(request.socket)) return request.socket.destroy();
      used.add(request.socket);
      return response.end(JSON.stringify({ data: { state: [{ role: "user", content: "a" }] } }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const patient = new EnvServiceClient(settingsOf(`http://127.0.0.1:${port}`));
    for (let step = 0; step < 3; step++) {
      expect(await patient.step("i", { content: "" })).toMatchObject({ messages: [{ content: "a" }] });
    }
  });

  it.each([
    [{ state: { role: "user", content: "a" } }, [{ role: "user", content: "a" }]],
    [
      {
        state: [
          { role: "user", content: "a" },
          { role: "user", content: "b" },
        ],
      },
      [{ role: "user", content: "a" }],
    ],
    [
      {
        state: [
          [
            { role: "tool", tool_call_id: "1", content: "x" },
            { role: "tool", tool_call_id: "2", content: "y" },
          ],
        ],
      },
      [
        { role: "tool", tool_call_id: "1", content: "x" },
        { role: "tool", tool_call_id: "2", content: "y" },
      ],
    ],
    [{ state: [{ role: "user", content: [{ type: "text", text: "a" }] }] }, [{ role: "user", content: "a" }]],
    [{ state: [{ error: "no such tool" }] }, [{ role: "user", content: "no such tool" }]],
  ])("may answer a step with %j", async (data, messages) => {
    const { url } = await service({ body: { data } });
    expect(await new EnvServiceClient(settingsOf(url)).step("i", { content: "" })).toEqual({
      messages,
      reward: 0,
      isTerminated: false,
      info: {},
    });
  });

  // The first is no whole number of milliseconds, the second longer than a timer runs.
  it.each([32.2, 1e10])("has %d s to answer where the settings say so", async (timeout_s) => {
    const { url } = await service({ body: { data: 1 }, after: 20 });
    const unhurried = new EnvServiceClient({ ...settingsOf(url), timeout_s });
    expect(await unhurried.evaluate("i")).toBe(1);
    expect(await unhurried.isHealthy()).toBe(true);
  });

  it.each([
    [{ body: { success: false, error: "out of maps" } }, /refuses \/evaluate: out of maps/],
    [{ body: { data: "high" } }, /a finite number as `data` .* received "high"/],
    [{ body: "<html>" }, /a JSON object .*<html>/],
    [{ body: { data: 1 }, after: 600_000 }, /no answer within 0.2 s/],
  ])("is named with what it did: %j", async (answer: Answer, message) => {
    const { url } = await service(answer);
    const timeout_s = answer.after === undefined ? 60 : 0.2;
    await expect(new EnvServiceClient({ ...settingsOf(url), timeout_s, attempts: 1 }).evaluate("i")).rejects.toThrow(
      message,
    );
  });

  it("cannot be reached", async () => {
    const gone = new EnvServiceClient({ ...settingsOf("http://127.0.0.1:1"), attempts: 1 });
    await expect(gone.taskIds("train")).rejects.toThrow(
      /http:\/\/127.0.0.1:1 cannot be reached .*: (ECONNREFUSED|bad port)/,
    );
    expect(await gone.isHealthy()).toBe(false);
  });
});

describe("an episode's environment", () => {
  const config = () => ({ task_reader: { type: "env_service", env_service: settingsOf(lake.url) } });
  const task = (id: string) => ({ ...workflowTaskWith({ env_task_id: id }), episodeUuid: `episode-${id}` });

  it("is there while the workflow runs, and is given back", async () => {
    const before = lake.instances;
    const seen = await inEnvironment(config(), task("dev-5"), new AbortController().signal, async (given) => {
      expect(lake.instances).toBe(before + 1);
      expect(given.task.initMessages).toEqual(given.gymEnv?.messages);
      return given.gymEnv?.step({ content: "I go up" });
    });
    expect(seen).toMatchObject({ isTerminated: false, reward: 0 });
    expect(lake.instances).toBe(before);
  });

  it("is given back when the workflow throws, and when it hangs past its limit", async () => {
    const before = lake.instances;
    const signal = new AbortController().signal;
    await expect(
      inEnvironment(config(), task("dev-6"), signal, () => Promise.reject(new Error("mine"))),
    ).rejects.toThrow("mine");
    expect(lake.instances).toBe(before);
    const limit = new AbortController();
    void inEnvironment(config(), task("dev-7"), limit.signal, () => new Promise(() => {}));
    await expect.poll(() => lake.instances).toBe(before + 1);
    limit.abort();
    await expect.poll(() => lake.instances).toBe(before);
  });

  it("is none where tasks come from elsewhere", async () => {
    const other = { task_reader: { type: "jsonl_dataset_file", env_service: settingsOf("http://127.0.0.1:1") } };
    const given = task("x");
    expect(await inEnvironment(other, given, new AbortController().signal, async (same) => same)).toBe(given);
  });
});

describe("EnvServiceJudge", () => {
  const config = { task_reader: { type: "env_service", env_service: settingsOf("") } };
  const make = () => new EnvServiceJudge(config);
  const { episodeUuid } = workflowTaskWith({});
  beforeAll(async () => {
    config.task_reader.env_service.env_url = lake.url;
    await client().create("dev-0", episodeUuid);
  });
  // Nobody walks here: the environment's score is 0.
  const unsolved = { task: { env_task_id: "dev-0" }, output: {}, reward: 0, isSuccess: false };
  judgeContract({ name: "EnvServiceJudge", make, config }, [unsolved]);

  it("gives more than 1 where the task is solved", async () => {
    await client().create("dev-1", "solved");
    const { rows } = (await client().info("solved")) as { rows: string[] };
    await walk("solved", solution(rows));
    const task = { ...workflowTaskWith({}), episodeUuid: "solved" };
    expect(await make().computeReward(task)).toMatchObject({ reward: 1.5, isSuccess: true });
  });

  it("says what it needs", () => {
    expect(() => new EnvServiceJudge({})).toThrow(/`task_reader.type` to env_service/);
  });
});

it("never trains on a map of the validation split", () => {
  const layouts = (key: string, count: number, heldOut: boolean) =>
    drawMaps(key, count, heldOut).map(({ rows }) => rows.join(""));
  const [train, dev] = [layouts("train", 1024, false), layouts("dev", 200, true)];
  expect(new Set([...train, ...dev]).size).toBe(1224);
  expect(layouts("dev", 200, true)).toEqual(dev);
});
