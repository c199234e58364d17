import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { attachRun } from "../../src/cli/attach.js";
import { ConfigError } from "../../src/native/errors.js";
import { Ajet, checkpointDigest, jsonLines, readJson, temporaryFolder, tinyRun } from "./ajet.js";

const folder = temporaryFolder();
const agent = join(folder, "agent.ts");
const STEPS = 3;
const SETTINGS = {
  "rollout.user_workflow": `${agent}->Gated`,
  "task_judge.judge_protocol": null,
  "trainer_common.total_training_steps": STEPS,
  "trainer_common.save_freq": 0,
  "trainer_common.val_before_train": false,
  "data.validation_limit": 1,
};

/** Asks once; its second step waits for a file, so that a test has time to look at version 1. */
const AGENT = `
  import { existsSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  import { type Tuner, Workflow, type WorkflowTask } from "ajet";
  let asked = 0;
  export class Gated extends Workflow {
    async execute({ task, sample }: WorkflowTask, tuner: Tuner) {
      const { gate } = this.args as { gate: string };
      if (++asked > 8) while (!existsSync(gate)) await sleep(5);
      const messages = [{ role: "user" as const, content: task.mainQuery }];
      await tuner.asRawOpenaiSdkClient().chat.completions.create({ model: "any", messages, max_tokens: 8 });
      return { reward: sample, metadata: {} };
    }
  }`;

const running: Ajet[] = [];
afterAll(() => {
  for (const { child } of running) child.kill("SIGKILL");
});

function start(args: string[]): Ajet {
  const command = new Ajet(args);
  running.push(command);
  return command;
}

function train(name: string, gateFile: string): Ajet {
  // One thread counts all episodes.
  const settings = { ...SETTINGS, "rollout.worker_threads": 1, "rollout.workflow_args.gate": gateFile };
  return start(["train", "--json", ...tinyRun(folder, name, settings)]);
}

/** A run that waits within its second step, with a server attached to it. */
async function trainServed(name: string) {
  const gate = join(folder, `${name}.gate`);
  const run = join(folder, name);
  const training = train(name, gate);
  await training.until(() => jsonLines(training.stdout).length === 1);
  const server = start(["serve", "--json", "--attach", run, "--port", "0", "--api-key", "k", "--threads", "1"]);
  await server.until(() => server.stdout.includes("\n"));
  const { base_url: baseURL } = jsonLines(server.stdout)[0];
  const client = new OpenAI({ baseURL, apiKey: "k" });
  const health = async () => (await fetch(`${baseURL.replace("/v1", "")}/health`)).json();
  return { run, gate, training, server, client, health };
}

const QUESTION = {
  model: "any",
  messages: [{ role: "user" as const, content: "How many?" }],
  max_tokens: 8,
  seed: 3,
  logprobs: true,
};

async function version(client: OpenAI): Promise<number> {
  const { data } = await client.models.list();
  return (data[0] as unknown as { weights_version: number }).weights_version;
}

beforeAll(() => writeFileSync(agent, AGENT));

describe("ajet serve --attach", () => {
  it("serves a run's live weights, whose training it does not change", async () => {
    const { run, gate, training, server, client, health } = await trainServed("served");
    expect(await version(client)).toBe(1);
    const reply = await client.chat.completions.create(QUESTION);
    expect(reply.system_fingerprint).toBe("ajet-weights-1");
    expect(await health()).toMatchObject({ status: "ok", training_run: "live", weights_version: 1 });
    expect(server.stderr).toContain(`serving the live weights of ${run}`);
    writeFileSync(gate, "");
    expect((await training.finished).code).toBe(0);
    await server.until(() => server.stderr.includes(`its last weights, version ${STEPS}, are still served`));
    expect(await version(client)).toBe(STEPS);
    const last = await client.chat.completions.create(QUESTION);
    expect(last.system_fingerprint).toBe(`ajet-weights-${STEPS}`);
    expect(last.choices[0]?.logprobs).not.toEqual(reply.choices[0]?.logprobs);
    expect(await health()).toMatchObject({ training_run: "ended" });
    server.child.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);

    expect(existsSync(join(run, "live_weights.json"))).toBe(false);
    await expect(attachRun(run, { set: [] })).rejects.toThrow(`No training run goes on in ${run}`);

    expect((await train("alone", gate).finished).code).toBe(0);
    expect(checkpointDigest(run, STEPS)).toEqual(checkpointDigest(join(folder, "alone"), STEPS));
  });

  it("notices that the run was killed, and keeps its last whole version", async () => {
    const { run, training, server, client } = await trainServed("killed");
    const before = await client.chat.completions.create(QUESTION);
    training.child.kill("SIGKILL");
    await server.until(() =>
      server.stderr.includes("the training run has ended: its last weights, version 1, are still"),
    );
    const after = await client.chat.completions.create(QUESTION);
    expect(after.choices).toEqual(before.choices);
    server.child.kill("SIGKILL");
    expect(readJson(run, "live_weights.json").process.pid).toBe(training.child.pid);
    await expect(attachRun(run, { set: [] })).rejects.toThrow("resume it, or serve one of its checkpoints");
  });

  it.each([
    ["nowhere", {}, "There is no run in nowhere"],
    [folder, {}, `There is no run in ${folder}`],
    [folder, { model: "m" }, "--model does not go with --attach"],
    [folder, { device: "cpu" as const }, "--device does not go with --attach"],
    [folder, { set: ["model.path=m"] }, "--set model.path=m does not go with --attach"],
  ])("refuses %j with %j", async (run, options, message) => {
    const refused = attachRun(run, { set: [], ...options });
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });
});
