import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { configurationPage, keysOf } from "../../scripts/configuration-page.mjs";
import { ajetSchema } from "../../src/config/schema.js";

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
const keys = keysOf(z.toJSONSchema(ajetSchema, { io: "input", unrepresentable: "any" }));

describe("docs/configuration.md", () => {
  it("is what scripts/configuration-page.mjs makes of the schema", () => {
    expect(page, "run `npm run build && node scripts/configuration-page.mjs`").toBe(configurationPage(ajetSchema));
  });

  it("has every key, with its meaning", () => {
    expect(keys.length).toBeGreaterThan(80);
    const rows = new Map(page.split("\n").map((line) => [/^\| `([^`]+)`/.exec(line)?.[1], line]));
    for (const { path } of keys) expect(rows.get(path), path).toMatch(/\| [^|]{3,} \|$/);
  });

  it("shows the defaults that a run gets", () => {
    const config = ajetSchema.parse({ rollout: { user_workflow: "a.ts->A" }, model: { path: "m" } });
    for (const { path, node } of keys) {
      if (node.default === undefined) continue;
      const value = path.split(".").reduce((tree, key) => (tree as Record<string, unknown>)[key], config as unknown);
      expect(value, path).toEqual(node.default);
    }
  });
});
