import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { findExecutable } from "../../src/tools/python-interpreter.js";
import { createPythonSandbox, type PythonSandbox } from "../../src/tools/python-sandbox.js";

const available = (["bubblewrap", "unshare"] as const).filter((name) =>
  findExecutable(name === "bubblewrap" ? "bwrap" : name),
);

it("isolates on this machine", () => {
  expect(available.length).toBeGreaterThan(0);
});

/** For programs that another limit ends: on a busy machine a second of CPU time may take minutes. */
const UNHURRIED_MS = 170_000;

describe.each(available)("python sandbox by %s", (isolation) => {
  let sandbox: PythonSandbox;
  const run = (code: string, timeoutMs = 20_000) => sandbox.run(code, { timeoutMs });

  beforeAll(async () => {
    sandbox = await createPythonSandbox({ isolation, cpuSeconds: 1 });
  });
  afterAll(() => sandbox.dispose());

  it("says which isolation is active", () => {
    expect(sandbox.isolation).toBe(isolation);
    expect(sandbox.description).toMatch(/^(bubblewrap|unshare): .*Python 3\.\d+/);
  });

  it("returns what is printed", async () => {
    expect(await run("print(17 * 3)")).toEqual({ exitCode: 0, stdout: "51\n", stderr: "" });
    expect(await run("import sys\nprint('é ∑ 😀')\nprint('x', file=sys.stderr)\nsys.exit(3)")).toEqual({
      exitCode: 3,
      stdout: "é ∑ 😀\n",
      stderr: "x\n",
    });
    expect(await run("")).toEqual({ exitCode: 0, stdout: "", stderr: "" });
    expect(await run("raise SystemExit('no')")).toEqual({ exitCode: 1, stdout: "", stderr: "no\n" });
    expect((await run("print(__name__)\nif __name__ == '__main__': print('main')")).stdout).toBe("__main__\nmain\n");
  });

  it("shows the traceback of the program alone", async () => {
    const { exitCode, stderr } = await run("def half(x):\n    return x / 0\n\nhalf(1)");
    expect(exitCode).toBe(1);
    const lines = stderr.split("\n").filter((line) => !/^[\s~^]*$/.test(line));
    expect(lines).toEqual([
      "Traceback (most recent call last):",
      '  File "<code>", line 4, in <module>',
      "    half(1)",
      '  File "<code>", line 2, in half',
      "    return x / 0",
      "ZeroDivisionError: division by zero",
    ]);
    const syntax = await run("x = (");
    expect(syntax.exitCode).toBe(1);
    expect(syntax.stderr).toMatch(/^ {2}File "<code>", line 1\n.*\n.*\nSyntaxError: /);
    expect((await run("print(1)\0")).stderr).toMatch(/null bytes/);
  });

  it("has the standard library and large output", async () => {
    expect((await run("from fractions import Fraction\nprint(Fraction(1, 3) + 1)")).stdout).toBe("4/3\n");
    const large = await run("print('a' * 60_000)");
    expect(large).toEqual({ exitCode: 0, stdout: `${"a".repeat(60_000)}\n`, stderr: "" });
  });

  it("gives no input, no environment, no arguments", async () => {
    expect((await run("import sys\nprint(repr(sys.stdin.read()), sys.argv)")).stdout).toBe("'' ['<code>']\n");
    expect((await run("input()")).stderr).toMatch(/EOFError/);
    expect((await run("import os, ctypes\nprint(dict(os.environ), os.getenv('PATH'))")).stdout).toBe("{} None\n");
  });

  it("reaches no network", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const connect = await run(`import socket\nsocket.create_connection(('127.0.0.1', ${port}), 2)`);
    expect(connect.exitCode).toBe(1);
    expect((await run("import socket\nsocket.create_connection(('192.0.2.1', 80), 2)")).stderr).toMatch(
      /Network is unreachable/,
    );
  });

  it("writes no file", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ajet-sandbox-"));
    const targets = [
      "here.txt",
      "/x",
      "/tmp/x",
      "/usr/x",
      "/dev/shm/x",
      `${homedir()}/x`,
      `${folder}/x`,
      "/etc/ld.so.cache",
    ];
    for (const target of targets) {
      const { exitCode, stderr } = await run(`open(${JSON.stringify(target)}, "w").write("x")`);
      expect(exitCode, target).toBe(1);
      expect(stderr).toMatch(/Read-only file system|No such file|Permission denied/);
    }
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
    // Files in memory count, too.
    expect((await run("import os\nos.write(os.memfd_create('m'), b'x')")).stderr).toMatch(/File too large/);
  });

  it("sees nothing of the machine and of other calls", async () => {
    const other = run("import time\ntime.sleep(1)\nprint('alive')");
    const { stdout } = await run(
      "import os\nprint(os.getpid(), os.getppid(), os.path.exists('/proc'), os.path.exists('/home'))\n" +
        "for pid in range(2, 5000):\n    try:\n        os.kill(pid, 0)\n        print('saw', pid)\n    except OSError:\n        pass",
    );
    expect(stdout).toBe("1 0 False False\n");
    expect((await other).stdout).toBe("alive\n");
  });

  it("survives programs that attack their parent", async () => {
    const other = run("import time\ntime.sleep(1)\nprint('alive')");
    // The parent lies outside the call's PID namespace, where its id reads 0; process 1 there is the call itself.
    expect((await run("import os\nos.kill(os.getppid() or 1, 9)\nprint('still here')")).stdout).toBe("still here\n");
    await run("import os\nos.kill(-1, 9)");
    await run("import os\nfor fd in range(0, 1000):\n    try: os.write(fd, b'\\xff' * 64)\n    except OSError: pass");
    await run("import os\nos.closerange(0, 1000)\nos._exit(0)");
    await run("import ctypes\nctypes.string_at(0)");
    expect((await other).stdout).toBe("alive\n");
    expect((await run("print(1)")).stdout).toBe("1\n");
  });

  it("gains no privileges", async () => {
    const { stdout } = await run(
      "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n" +
        "for flags in (0x10000000, 0x00020000, 0x40000000):\n    print(libc.unshare(flags), ctypes.get_errno())\n" +
        "print(libc.mount(b'none', b'/usr', b'tmpfs', 0, None), libc.chroot(b'/usr'), libc.setuid(0) if libc.getuid() else -1)",
    );
    expect(stdout).toBe("-1 1\n-1 1\n-1 1\n-1 -1 -1\n");
  });

  it("limits processes and threads", async () => {
    expect((await run("import os\nwhile True: os.fork()")).stderr).toMatch(/BlockingIOError/);
    expect((await run("import threading\nthreading.Thread(target=print).start()")).stderr).toMatch(
      /can't start new thread/,
    );
    expect((await run("import subprocess\nsubprocess.run(['/bin/true'])")).exitCode).toBe(1);
  });

  it("limits CPU time, time, memory and output", async () => {
    const [loop, sleep, memory, flood, errors] = await Promise.all([
      run("print('before', flush=True)\nwhile True: pass", UNHURRIED_MS),
      run("import time\nprint('before', flush=True)\ntime.sleep(60)", 500),
      run("x = 'a' * (1 << 30)", UNHURRIED_MS),
      run("while True: print('0123456789')", UNHURRIED_MS),
      run("import sys\nprint('before', flush=True)\nwhile True: print('e' * 99, file=sys.stderr)", UNHURRIED_MS),
    ]);
    expect(loop).toEqual({ exitCode: -1, stdout: "", stderr: "Killed: CPU time limit of 1 s\n", limit: "cpu" });
    expect(sleep).toEqual({ exitCode: -1, stdout: "", stderr: "Killed: time limit\n", limit: "time" });
    expect(memory).toMatchObject({ exitCode: -1, limit: "memory", stderr: expect.stringMatching(/MemoryError/) });
    expect(flood).toEqual({
      exitCode: -1,
      stdout: "0123456789\n".repeat(6000).slice(0, 65536),
      stderr: "Killed: more than 65536 bytes of output\n",
      limit: "output",
    });
    expect(errors).toMatchObject({ exitCode: -1, stdout: "", limit: "output" });
  }, 180_000);

  it("passes on how a program ends", async () => {
    expect(await run("import os\nprint('lost in the buffer')\nos._exit(7)")).toEqual({
      exitCode: 7,
      stdout: "",
      stderr: "",
    });
    expect((await run("import sys\nsys.stdout.close()")).exitCode).toBe(0);
    expect((await run("import os\nos.close(1)\nos.close(2)\nprint('x')")).limit).toBeUndefined();
    expect((await run("import ctypes\nctypes.string_at(0)")).exitCode).toBe(128 + 11);
    expect((await run("import atexit\natexit.register(print, 'end')")).stdout).toBe("end\n");
    expect((await run("import signal, sys\nsys.exit(int(signal.SIGXCPU))")).limit).toBeUndefined();
  });

  it("ends programs that ignore the signal of the CPU limit, or are in a long call", async () => {
    const ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nprint('before', flush=True)\n";
    const ended = { exitCode: -1, stdout: "", stderr: "Killed: CPU time limit of 1 s\n", limit: "cpu" };
    expect(await run(`${ignoring}while True: pass`, UNHURRIED_MS)).toEqual(ended);
    expect(await run("print('before', flush=True)\nsum(range(10**12))", UNHURRIED_MS)).toEqual(ended);
  }, 180_000);

  it("repeats to the byte, whatever ran before", async () => {
    const code =
      "import random\ndef f(): pass\nprint(f, object(), {str(i) for i in range(20)}, random.random(), random.randint(0, 10**9))";
    const fresh = await createPythonSandbox({ isolation, cpuSeconds: 1 });
    const first = await fresh.run(code);
    const noise = ["print('x' * 50000)", "1/0", "while True: print(1)", "#".repeat(40_000), "import json"];
    await Promise.all(Array.from({ length: 40 }, (_, i) => fresh.run(noise[i % noise.length] ?? "")));
    const results = await Promise.all(Array.from({ length: 8 }, () => fresh.run(code)));
    await fresh.dispose();
    results.push(await run(code));
    for (const result of results) expect(result).toEqual(first);
    expect(first.exitCode).toBe(0);
  });

  it("runs 50 calls at once", async () => {
    const start = performance.now();
    const results = await Promise.all(Array.from({ length: 50 }, (_, i) => run(`print(${i} ** 2)`)));
    console.log(`${isolation}: ${((performance.now() - start) / 50).toFixed(2)} ms a call, 50 at once`);
    expect(results.map((result) => result.stdout)).toEqual(Array.from({ length: 50 }, (_, i) => `${i ** 2}\n`));
    const times: number[] = [];
    for (let i = 0; i < 50; i++) {
      const from = performance.now();
      await run("print(1)");
      times.push(performance.now() - from);
    }
    console.log(`${isolation}: median ${times.sort((a, b) => a - b)[25]?.toFixed(2)} ms a call, one at a time`);
  });

  it("starts again when its process was killed", async () => {
    const fresh = await createPythonSandbox({ isolation });
    const running = fresh.run("import time\ntime.sleep(0.5)\nprint('again')");
    (fresh as unknown as { live: { child: { kill(signal: string): void } } }).live.child.kill("SIGKILL");
    expect((await running).stdout).toBe("again\n");
    expect((await fresh.run("print(2)")).stdout).toBe("2\n");
    await fresh.dispose();
    await expect(fresh.run("print(3)")).rejects.toThrow(/disposed/);
  });
});

describe("python sandbox without isolation", () => {
  it("runs only when asked for, with limits", async () => {
    const sandbox = await createPythonSandbox({ unsafe: true, isolation: "none", cpuSeconds: 1 });
    expect(sandbox.description).toMatch(/^none: /);
    expect(await sandbox.run("print(6 * 7)")).toEqual({ exitCode: 0, stdout: "42\n", stderr: "" });
    expect((await sandbox.run("while True: pass")).limit).toBe("cpu");
    // As the system does it that has no memory left.
    expect(await sandbox.run("import os\nprint('before', flush=True)\nos.kill(os.getpid(), 9)")).toEqual({
      exitCode: -1,
      stdout: "",
      stderr: "Killed by the system, which may be short of memory\n",
      limit: "memory",
    });
    expect((await sandbox.run("import os\nos.fork()")).stderr).toMatch(/BlockingIOError/);
    await sandbox.dispose();
  });

  it("is refused without Python, and where nothing isolates, with the remedy", async () => {
    await expect(createPythonSandbox({ python: "/usr/bin/env" })).rejects.toThrow(/needs Python .*apt-get install/);
    // In so little memory no interpreter can show that it is isolated.
    await expect(createPythonSandbox({ memoryBytes: 1 << 20 })).rejects.toThrow(/Install bubblewrap .*--unsafe-tools/);
  });
});
