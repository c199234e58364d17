import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { JobLimit } from "../../src/rollout/job-limit.js";

/** As if the whole process were stopped: nothing runs, and the clock goes on. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const aborted = (signal: AbortSignal) => new Promise((resolve) => signal.addEventListener("abort", resolve));

describe("JobLimit", () => {
  it("ends a job, and names what ran too long", async () => {
    using limit = new JobLimit(undefined);
    limit.start("The wrong one", 1);
    limit.start("The job", 1200);
    await aborted(limit.signal);
    expect(limit.signal.reason).toMatchObject({ message: "The job ran longer than 1.2 s" });
  });

  it("does not charge a job for a pause of the process", async () => {
    using limit = new JobLimit(undefined);
    limit.start("The job", 1800);
    pause(2500);
    await nextTurn();
    await nextTurn();
    expect(limit.signal.aborted).toBe(false);
    await aborted(limit.signal);
  });

  it("ends with the rollout, however long its own limit", async () => {
    const outer = new AbortController();
    using limit = new JobLimit(outer.signal);
    limit.start("The job", Number.POSITIVE_INFINITY);
    outer.abort();
    expect(limit.signal.reason).toMatchObject({ message: "The rollout was cancelled" });
  });
});
