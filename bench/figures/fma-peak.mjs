import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { THREADS } from "../worker.mjs";

const ATTEMPTS = 5;

/** What the cores reach without any memory access, in FLOP/s: the best of some attempts, since others may hold a core. */
export function fmaPeak(native) {
  const args = ["--threads", `${THREADS}`, "--json", "--seconds", "0", "64,64,64"];
  const measure = () => JSON.parse(`${execFileSync(join(native, "ajet_bench_gemm"), args)}`.split("\n")[0]).peak_gflops;
  return Math.max(...Array.from({ length: ATTEMPTS }, measure)) * 1e9;
}
