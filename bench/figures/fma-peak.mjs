import { join } from "node:path";
import { THREADS, Worker } from "../worker.mjs";

const ATTEMPTS = 5;

/** What the cores reach without any memory access, in FLOP/s: the best of some attempts, since others may hold a core. */
export async function fmaPeak(native) {
  let peak = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const worker = await Worker.start(join(native, "ajet_bench_gemm"), ["--threads", `${THREADS}`, "--worker"]);
    await worker.stop();
    peak = Math.max(peak, worker.greeting.peak * 1e9);
  }
  return peak;
}
