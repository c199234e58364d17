import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { endProcesses } from "../../src/cli/processes/end.js";
import { findProcesses, lineage } from "../../src/cli/processes/find.js";
import { isRunning, markOf } from "../../src/train/process-mark.js";
import { Ajet, ajet, jsonLines, MODEL, temporaryFolder } from "./ajet.js";

const folder = temporaryFolder();
/** No test may see, let alone end, what goes on outside it. */
const env = { XDG_RUNTIME_DIR: join(folder, "run"), XDG_STATE_HOME: join(folder, "state"), TMPDIR: folder };
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process with a word in its command line; it ends by SIGTERM unless it is stubborn. */
async function bystander(word: string, stubborn = false): Promise<ChildProcess> {
  const code = `${stubborn ? 'process.on("SIGTERM", () => {});' : ""} setInterval(() => {}, 1000); console.log("up")`;
  const child = spawn(process.execPath, ["-e", code, word], { stdio: "pipe" });
  children.push(child);
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

function registryFile(): string {
  const registry = join(env.XDG_RUNTIME_DIR, "ajet");
  return join(registry, readdirSync(registry)[0] as string);
}

describe("ajet --kill", () => {
  it("ends a server that it finds by its recorded process id, and forgets it", async () => {
    const server = new Ajet(["serve", "--json", "--model", MODEL, "--port", "0"], { env });
    await server.until(() => server.stdout.includes("\n"));
    expect(JSON.parse(readFileSync(registryFile(), "utf8"))).toMatchObject({ pid: server.child.pid });
    const { code, stdout } = await ajet(["--kill", "--json"], { env });
    expect(code).toBe(0);
    expect(jsonLines(stdout)).toMatchObject([{ pid: server.child.pid, ended: true }]);
    expect(await server.finished).toMatchObject({ code: 0 });
    expect(readdirSync(join(env.XDG_RUNTIME_DIR, "ajet"))).toEqual([]);
    expect(await ajet(["--kill"], { env })).toMatchObject({ code: 0, stderr: "no run or server of ajet goes on\n" });
  });

  it("leaves a process alone that got the id of one that is gone", async () => {
    const other = await bystander("reused");
    const mark = markOf(other.pid as number);
    const server = new Ajet(["serve", "--json", "--model", MODEL, "--port", "0"], { env });
    await server.until(() => server.stdout.includes("\n"));
    const entry = JSON.parse(readFileSync(registryFile(), "utf8"));
    server.child.kill("SIGKILL"); // leaves its entry behind
    await server.finished;
    const stale = { ...entry, pid: mark.pid, startTicks: (mark.startTicks as number) - 1 };
    writeFileSync(join(env.XDG_RUNTIME_DIR, "ajet", `${mark.pid}-1.json`), JSON.stringify(stale));
    const { code, stderr } = await ajet(["--kill"], { env });
    expect([code, stderr]).toEqual([0, "no run or server of ajet goes on\n"]);
    expect(isRunning(mark)).toBe(true);
    expect(readdirSync(join(env.XDG_RUNTIME_DIR, "ajet"))).toEqual([]);
  });

  it("lists what a pattern matches and ends nothing without a yes", async () => {
    const word = randomUUID();
    const child = await bystander(word);
    const { code, stdout, stderr } = await ajet(["--kill", word], { env });
    expect(code).toBe(2);
    expect(stderr).toContain("Add --yes to end these 1");
    const listed = stdout.trim().split("\n");
    expect(listed).toHaveLength(1); // not `ajet --kill` itself, whose command line has the word, too
    expect(listed[0]).toMatch(new RegExp(`^ *${child.pid} .*${word}$`));
    expect(isRunning(markOf(child.pid as number))).toBe(true);
  });

  it("ends what a pattern matches with --yes, and nothing else", async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    const [doomed, spared, alsoDoomed] = [await bystander(first), await bystander("spared"), await bystander(second)];
    const { code, stdout } = await ajet(["--kill", `${first}|${second}`, "--yes", "--json"], { env });
    expect(code).toBe(0);
    const ended = jsonLines(stdout).map(({ pid }) => pid);
    expect(ended.sort()).toEqual([doomed.pid, alsoDoomed.pid].sort());
    expect(isRunning(markOf(spared.pid as number))).toBe(true);
  });

  it("asks where there is a terminal", async () => {
    const word = randomUUID();
    const child = await bystander(word);
    const answered = async (answer: string) => {
      const main = new URL("../../dist/cli/main.js", import.meta.url).pathname;
      const command = `${process.execPath} ${main} --kill ${word.slice(0, 20)}.*${word.slice(24)}`;
      const terminal = spawn("script", ["-qec", command, "/dev/null"], { env: { ...process.env, ...env } });
      let said = "";
      terminal.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (text.includes("[y/N]")) terminal.stdin.write(`${answer}\n`);
      });
      const code = await new Promise((resolve) => terminal.once("close", resolve));
      return { code, said };
    };
    expect((await answered("n")).said).toContain("nothing was ended");
    expect(isRunning(markOf(child.pid as number))).toBe(true);
    expect(await answered("y")).toMatchObject({ code: 0, said: expect.stringContaining("ended 1") });
    expect(isRunning(markOf(child.pid as number))).toBe(false);
  });

  it.each([
    ["(", "regular expression"],
    ["", "empty"],
  ])("refuses the pattern %j", async (pattern, part) => {
    const { code, stderr } = await ajet(["--kill", pattern, "--yes"], { env });
    expect(code).toBe(2);
    expect(stderr).toContain(part);
  });
});

describe("findProcesses", () => {
  it("spares itself and everything above it", () => {
    const above = lineage(process.pid);
    expect(above).toContain(process.pid);
    expect(above).toContain(process.ppid);
    const found = findProcesses(".").map(({ pid }) => pid);
    expect(found.filter((pid) => above.has(pid))).toEqual([]);
  });

  it("spares other users", async () => {
    const word = randomUUID();
    const getuid = process.getuid as () => number;
    await bystander(word);
    expect(findProcesses(word)).toHaveLength(1);
    process.getuid = () => getuid() + 1;
    try {
      expect(findProcesses(word)).toEqual([]);
    } finally {
      process.getuid = getuid;
    }
  });
});

describe("endProcesses", () => {
  it("takes SIGKILL where SIGTERM does not help", async () => {
    const stubborn = await bystander("stubborn", true);
    const ended = new Promise((resolve) => stubborn.once("exit", (_, signal) => resolve(signal)));
    expect(await endProcesses([markOf(stubborn.pid as number)], 100)).toEqual([]);
    expect(await ended).toBe("SIGKILL");
  });
});

describe("the registry", () => {
  it("is done without where it cannot be written", async () => {
    const file = join(folder, "no-folder");
    writeFileSync(file, "");
    const blocked = { XDG_RUNTIME_DIR: file, XDG_STATE_HOME: file, TMPDIR: file };
    const server = new Ajet(["serve", "--json", "--model", MODEL, "--port", "0"], { env: blocked });
    await server.until(() => server.stdout.includes("\n"));
    server.child.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);
  });
});
