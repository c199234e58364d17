import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { THREADS } from "../worker.mjs";

/** What the cores reach without any memory access, in FLOP/s. */
export function fmaPeak(native) {
  const output = execFileSync(join(native, "ajet_bench_gemm"), [
    "--threads",
    `${THREADS}`,
    "--json",
    "--seconds",
    "0",
    "64,64,64",
  ]);
  return JSON.parse(`${output}`.split("\n")[0]).peak_gflops * 1e9;
}
