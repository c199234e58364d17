import type { ChildProcess } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createPythonSandbox, type PythonSandboxOptions } from "../../src/tools/python-sandbox.js";
import { temporaryFolder } from "../cli/ajet.js";

/** Without isolation the process that Node starts is the supervisor itself, which tests can then stop and end. */
async function open(options: PythonSandboxOptions) {
  const sandbox = await createPythonSandbox({ ...options, unsafe: true, isolation: "none" });
  onTestFinished(() => sandbox.dispose());
  const supervisor = (sandbox as unknown as { live: { child: ChildProcess } }).live.child;
  return { sandbox, supervisor };
}

/** Id and state (`S` sleeps, `Z` has ended) of the processes whose parent is `parent`. */
function childrenOf(parent: number): { pid: number; state: string }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = statOf(Number(name));
      return stat?.parent === parent ? [{ pid: Number(name), state: stat.state }] : [];
    });
}

function statOf(pid: number): { state: string; parent: number } | undefined {
  try {
    const [state = "", parent] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return { state, parent: Number(parent) };
  } catch {
    return undefined; // gone
  }
}

describe("the supervisor of the python sandbox", () => {
  it("counts output that it comes to read only when the program has ended", async () => {
    const { sandbox, supervisor } = await open({ outputBytes: 1000 });
    const pid = supervisor.pid as number;
    const stopping =
      "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\n" +
      "while ') T ' not in open(f'/proc/{os.getppid()}/stat').read(): os.sched_yield()\n";
    const running = sandbox.run(`${stopping}print('a' * 2000)`, { timeoutMs: 600_000 });
    await expect.poll(() => childrenOf(pid).map(({ state }) => state)).toContain("Z");
    supervisor.kill("SIGCONT");
    expect(await running).toEqual({
      exitCode: -1,
      stdout: "a".repeat(1000),
      stderr: "Killed: more than 1000 bytes of output\n",
      limit: "output",
    });
    expect(supervisor.exitCode).toBeNull(); // else the sandbox would have run it again
  });

  it("takes as many calls at once as a machine has cores", async () => {
    const { sandbox, supervisor } = await open({ maxConcurrent: 300 });
    supervisor.kill("SIGSTOP"); // so that it finds all of them together
    const running = Array.from({ length: 300 }, (_, i) => sandbox.run(`print(${i})`, { timeoutMs: 600_000 }));
    await new Promise(setImmediate);
    supervisor.kill("SIGCONT");
    const results = await Promise.all(running);
    expect(results.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 300 }, (_, i) => `${i}\n`));
    expect(supervisor.exitCode).toBeNull();
  });

  it.each(["is disposed of", "is killed"])("leaves no program behind when it %s", async (end) => {
    const { sandbox, supervisor } = await open({});
    const pid = supervisor.pid as number;
    const [template] = childrenOf(pid);
    const running = sandbox.run("import time\ntime.sleep(10_000)", { timeoutMs: 600_000 });
    const ended = expect(running).rejects.toThrow(/disposed/);
    const programs = () => childrenOf(pid).filter((child) => child.pid !== template?.pid);
    await expect.poll(programs).toMatchObject([{ state: "S" }]);
    const [program] = programs();
    const disposed = sandbox.dispose();
    if (end === "is killed") supervisor.kill("SIGKILL");
    await disposed;
    await ended;
    await expect.poll(() => statOf(program?.pid as number)?.state ?? "Z").toBe("Z");
  });

  it("is told of as late where it does not come up, not as killed", async () => {
    const folder = temporaryFolder();
    const python = join(folder, "python");
    writeFileSync(python, `#!/bin/sh\n[ "$1" = -I ] && echo '["${python}", [3, 12, 0], []]' || exec sleep 1000\n`);
    for (const path of [folder, python]) chmodSync(path, 0o755);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const opening = expect(createPythonSandbox({ python, unsafe: true, isolation: "none" })).rejects.toThrow(
      /Tried: none: The Python process ended \(it was not up within 60 s\)/,
    );
    while (vi.getTimerCount() === 0) await new Promise(setImmediate);
    vi.advanceTimersByTime(60_000);
    await opening;
  });
});
