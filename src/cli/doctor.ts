import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import { nativeInfo } from "../native/info.js";
import { packageVersion } from "../native/package-root.js";
import { createPythonSandbox } from "../tools/python-sandbox.js";
import { type CommonOptions, command } from "./options.js";
import { Output } from "./output.js";

interface Finding {
  name: string;
  ok: boolean;
  value: string;
  remedy?: string;
}

/** `ajet doctor`: what machine this is, which backend runs, what is missing. */
export function addDoctor(program: Command): void {
  command(program, "doctor", "shows machine, backend and what is missing").action(async (options: CommonOptions) => {
    const output = new Output(options);
    const findings = [machine(), node(), native(), cuda(), ...buildTools(), await python()];
    for (const finding of findings) {
      output.line(`${finding.ok ? "ok     " : "missing"}  ${finding.name.padEnd(12)} ${finding.value}`);
      if (!finding.ok && finding.remedy) output.line(`         ${"".padEnd(12)} -> ${finding.remedy}`);
      output.result({ ...finding });
    }
    const needed = findings.filter((finding) => !finding.ok && finding.name !== "cuda");
    if (needed.length > 0) process.exitCode = 1;
  });
}

function machine(): Finding {
  const model = cpus()[0]?.model ?? "unknown processor";
  const gib = (totalmem() / 2 ** 30).toFixed(1);
  return { name: "machine", ok: true, value: `${cpus().length} cores, ${model}, ${gib} GiB` };
}

function node(): Finding {
  return { name: "node", ok: true, value: `${process.version}, ajet ${packageVersion()}` };
}

function native(): Finding {
  try {
    const info = nativeInfo();
    return {
      name: "native core",
      ok: true,
      value: `${info.isa} (can run: ${info.isas.join(", ")}), built with ${info.compiler}`,
    };
  } catch (error) {
    return { name: "native core", ok: false, value: (error as Error).message, remedy: "npx ajet build" };
  }
}

function cuda(): Finding {
  try {
    const { built, available, reason } = nativeInfo().cuda;
    return {
      name: "cuda",
      ok: available,
      value: available ? "available" : reason,
      ...(built ? {} : { remedy: "training runs on the CPU" }),
    };
  } catch {
    return { name: "cuda", ok: false, value: "unknown: the native core does not load" };
  }
}

function buildTools(): Finding[] {
  return ["cmake", "make", "g++"].map((tool) => {
    const run = spawnSync(tool, ["--version"], { encoding: "utf8" });
    const ok = run.status === 0;
    return {
      name: tool,
      ok,
      value: ok ? (run.stdout.split("\n")[0] ?? "") : "not found",
      ...(ok ? {} : { remedy: "apt-get install cmake make g++ (needed to build the native core)" }),
    };
  });
}

async function python(): Promise<Finding> {
  try {
    const sandbox = await createPythonSandbox();
    const { stdout } = await sandbox.run("import sys; print(sys.version.split()[0])");
    await sandbox.dispose();
    return { name: "python tool", ok: true, value: `Python ${stdout.trim()}, ${sandbox.description}` };
  } catch (error) {
    return {
      name: "python tool",
      ok: false,
      value: (error as Error).message,
      remedy: "apt-get install python3 bubblewrap",
    };
  }
}
