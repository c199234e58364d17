import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { csvRows } from "../../src/tasks/hub/csv-rows.js";
import { readRows } from "../../src/tasks/hub/read-rows.js";
import { temporaryFolder } from "./hub-repo.js";

const PARQUET = fileURLToPath(new URL("./fixtures/parquet/", import.meta.url));
const TASKS = new URL("../../tutorial/example_math_agent/data/train.jsonl", import.meta.url);
const rows = readFileSync(TASKS, "utf8")
  .split("\n")
  .slice(0, 5)
  .map((line) => JSON.parse(line) as { question: string; answer: string })
  .map(({ question, answer }) => ({ question, answer }));

describe("Parquet by pyarrow", () => {
  it.each(["none", "snappy", "gzip", "brotli", "zstd", "lz4"])("is read in the compression %s", async (codec) => {
    expect(await readRows(join(PARQUET, `${codec}.parquet`))).toEqual(rows);
  });

  it("gives values as JSON has them", async () => {
    expect(await readRows(join(PARQUET, "types.parquet"))).toEqual(
      rows.map((row, i) => ({
        ...row,
        level: i,
        big: String(2n ** 60n + BigInt(i)), // beyond what a number holds exactly
        share: i / 8,
        hard: i % 2 === 1,
        made: new Date(Date.UTC(2026, 0, 1 + i)).toISOString(),
        steps: Array.from({ length: i }, (_, k) => `step ${k}`),
        source: { name: "made", page: i === 0 ? null : i },
      })),
    );
  });

  it.each([0.95, 0.5, 0])("says that a file is cut short (%f of it)", async (share) => {
    const file = join(temporaryFolder(), "train.parquet");
    const whole = readFileSync(join(PARQUET, "snappy.parquet"));
    writeFileSync(file, whole);
    truncateSync(file, Math.floor(whole.length * share));
    await expect(readRows(file)).rejects.toMatchObject({
      code: "ERR_AJET_FILE",
      message: expect.stringContaining(file),
    });
  });
});

describe("CSV", () => {
  const read = (text: string) => csvRows(text, "a.csv", ",");

  it("has quotes, separators and line ends within values", () => {
    expect(read('\ufeffa,b\r\n"x, ""y""","1\n2"\r\n,\n"",z')).toEqual([
      { a: 'x, "y"', b: "1\n2" },
      { a: "", b: "" },
      { a: "", b: "z" },
    ]);
  });

  it.each(["", "a,b", "a,b\n"])("may have no rows: %j", (text) => {
    expect(read(text)).toEqual([]);
  });

  it("says where it is wrong", () => {
    expect(() => read("a,b\n1,2,3")).toThrow(/row 1 has 3 values/);
    expect(() => read('a,b\n1,2\n3,"4')).toThrow(/a.csv:3: a quote is not closed/);
    expect(() => read('a,b\n1,x"y"')).toThrow(/a.csv:2/);
  });
});

describe("JSON", () => {
  const read = (text: string, name = "train.json") => {
    const file = join(temporaryFolder(), name);
    writeFileSync(file, text);
    return readRows(file);
  };

  it.each([
    ["an array", '[{"a":1},{"a":2}]'],
    ["an array under `data`", '{"version":1,"data":[{"a":1},{"a":2}]}'],
    ["lines", '{"a":1}\n{"a":2}\n'],
  ])("is %s", async (_, text) => {
    expect(await read(text)).toEqual([{ a: 1 }, { a: 2 }]);
  });

  it("says where it is wrong", async () => {
    await expect(read('[{"a":1},{"a"')).rejects.toThrow(/cut short/);
    await expect(read("[1]")).rejects.toThrow(/expected an object as row 0/);
    await expect(read('{"a":1}\n{"a"')).rejects.toThrow(/:2: not valid JSON/);
    await expect(read("xyz", "train.jsonl.gz")).rejects.toThrow(/Cannot read/);
  });
});
