import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import type { Command } from "commander";
import type { AjetConfig } from "../config/schema.js";
import { nativeInfo } from "../native/info.js";
import { createModel } from "../native/model.js";
import { packageVersion } from "../native/package-root.js";
import type { CudaDevice, Device } from "../native/types.js";
import { createPythonSandbox } from "../tools/python-sandbox.js";
import { plainSettings } from "./model-settings.js";
import { type CommonOptions, command, type PlaceOptions, withDevice, withOverrides } from "./options.js";
import { Output } from "./output.js";

interface Finding {
  name: string;
  ok: boolean;
  value: string;
  remedy?: string;
}

interface DoctorOptions extends CommonOptions, PlaceOptions {
  set: string[];
}

/** `ajet doctor`: what machine this is, which backend runs, what is missing. */
export function addDoctor(program: Command): void {
  const doctor = command(program, "doctor", "shows machine, backend and what is missing");
  const help = "checked as for a run; model.device and model.threads choose what `device` shows";
  withOverrides(withDevice(doctor), help).action(async (options: DoctorOptions) => {
    const settings = plainSettings(options);
    const output = new Output(options);
    const findings = [machine(), node(), native(), cuda(), await device(settings), ...buildTools(), await python()];
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
    const { built, available, reason, driverVersion, architectures, cublasLt, devices } = nativeInfo().cuda;
    const driver = driverVersion > 0 ? [`driver for CUDA ${cudaVersion(driverVersion)}`] : [];
    const cards = devices.map(cardLine);
    const library = built ? [`built for ${architectures}`, `cuBLASLt: ${cublasLt}`] : [];
    return {
      name: "cuda",
      ok: available,
      value: [...(available ? [] : [reason]), ...driver, ...cards, ...library].join("; "),
      ...(available ? {} : { remedy: "training runs on the CPU" }),
    };
  } catch {
    return { name: "cuda", ok: false, value: "unknown: the native core does not load" };
  }
}

function cudaVersion(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}

function cardLine({ name, memoryBytes, computeCapability, problem }: CudaDevice, index: number): string {
  const gib = (memoryBytes / 2 ** 30).toFixed(0);
  return `cuda:${index} ${problem || `${name}, ${gib} GiB, compute capability ${computeCapability}`}`;
}

/** What a run with these settings would compute on: seen from a model of a few parameters that is placed there. */
async function device({ model: { device, threads } }: AjetConfig): Promise<Finding> {
  const asked = threads === 0 ? device : `${device}, threads ${threads}`;
  try {
    await using model = await createModel(SMALLEST, 1n, { device: device as Device, threads });
    return { name: "device", ok: true, value: `${asked} -> ${model.deviceDescription}` };
  } catch (error) {
    const remedy = device.startsWith("cuda") ? { remedy: "model.device=cpu" } : {};
    return { name: "device", ok: false, value: `${asked}: ${(error as Error).message}`, ...remedy };
  }
}

const SMALLEST = {
  model_type: "llama" as const,
  vocab_size: 64,
  hidden_size: 64,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  num_key_value_heads: 1,
  head_dim: 64,
  max_position_embeddings: 64,
  tie_word_embeddings: true,
};

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
