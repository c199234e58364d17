import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JsonlLog } from "../../src/report/jsonl-log.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ajet-log-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("JsonlLog", () => {
  it.each([
    ["steps after the last one", '{"step":1,"é":1}\n{"step":2}\n{"step":3}\n', '{"step":1,"é":1}\n{"step":2}\n'],
    ["a torn line", '{"step":1}\n{"st', '{"step":1}\n'],
    ["a line without its end", '{"step":1}\n{"step":2}', '{"step":1}\n'],
    ["what is no JSON", '{"step":1}\nrubbish\n{"step":2}\n', '{"step":1}\n'],
    ["what has no step", '{"step":1}\n{"other":1}\n', '{"step":1}\n'],
  ])("cuts off %s, and goes on behind", (_, before, kept) => {
    const file = join(folder, "metrics.jsonl");
    writeFileSync(file, before);
    const log = new JsonlLog(file, 2);
    log.append({ step: 9, value: 0.5 });
    log.close();
    expect(readFileSync(file, "utf8")).toBe(`${kept}{"step":9,"value":0.5}\n`);
  });

  it("names a file that it cannot write", () => {
    expect(() => new JsonlLog(join(folder, "none/metrics.jsonl"), 0)).toThrow(/Cannot write .*metrics\.jsonl: ENOENT/);
  });
});
