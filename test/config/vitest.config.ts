import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/config/compile.ts"],
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } }, // the default is one second
    pool: "forks",
    // Of the tests' time a third is spent waiting, for time limits and for processes to start.
    maxWorkers: Math.min(6, Math.ceil(1.5 * availableParallelism())),
  },
});
