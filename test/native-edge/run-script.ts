import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface ScriptResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs an ES module's text in a Node process of its own, with the tiny model's helpers in scope. */
export async function runScript(
  body: string,
  nodeFlags: string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<ScriptResult> {
  const prelude = `import { tinyModel, KV_BYTES, sampleBatch, until } from ${JSON.stringify(`${ROOT}test/native-edge/tiny-model.ts`)};\n`;
  const child = spawn(
    process.execPath,
    [...nodeFlags, "--import", "tsx", "--input-type=module", "-e", prelude + body],
    {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (output.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, ...output }));
  });
}
