import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ajetSchema } from "../../src/config/schema.js";
import { ajet } from "../cli/ajet.js";

const page = readFileSync(new URL("../../docs/debugging.md", import.meta.url), "utf8");

describe("docs/debugging.md", () => {
  it("has every check that the schema takes, and no other", () => {
    const table = page.slice(page.indexOf("| check |"), page.indexOf("```yaml"));
    const checks = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, check]) => check as string);
    const parse = (list: string[]) =>
      ajetSchema.safeParse({
        rollout: { user_workflow: "a.ts->A", compute_madness_checklist: list },
        model: { path: "m" },
      });
    expect(parse(checks).success).toBe(true);
    const { error } = parse(["unknown"]);
    for (const check of checks) expect(error?.message).toContain(check);
    expect(error?.message.match(/\\"\w+\\"/g)).toHaveLength(checks.length);
  });

  it("names options that there are", async () => {
    const { stdout } = await ajet(["--help"]);
    for (const [, option] of page.matchAll(/ajet (--\w[\w-]*)/g)) expect(stdout).toContain(option);
  });

  it("names metrics that there are", () => {
    const metrics = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
    for (const [, name] of page.matchAll(/`((?:rollout|critic|response_length)\/[a-z_]+)/g)) {
      expect(metrics).toContain(`\`${name}`);
    }
  });
});
