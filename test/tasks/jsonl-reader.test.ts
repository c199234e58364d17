import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { JsonlTaskReader, readJsonlTasks } from "../../src/tasks/jsonl-reader.js";
import { taskReaderContract } from "./reader-contract.js";

const folder = mkdtempSync(join(tmpdir(), "ajet-jsonl-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function jsonl(text: string): string {
  const file = join(folder, `${files++}.jsonl`);
  writeFileSync(file, text);
  return file;
}

const training = jsonl(
  '\ufeff{"question":"1+1?","answer":"#### 2"}\r\n\n{"main_query":"2+2?","task_id":7,"metadata":{"a":1},"answer":"4"}\n' +
    '{"main_query":"é?","init_messages":[{"role":"system","content":"s"}],"env_type":"x"}',
);
const validation = jsonl(
  '{"question":"a","task_id":"x"}\n{"question":"b","task_id":"x"}\n{"question":"c","task_id":"x#2"}\n{"question":"d"}\n{"question":"e","task_id":"4"}',
);

taskReaderContract("JsonlTaskReader", () => new JsonlTaskReader({ training, validation }), ["training", "validation"]);

describe("JsonlTaskReader", () => {
  it("reads GSM8K's and the seed's records", async () => {
    expect(await readJsonlTasks(training)).toEqual([
      {
        taskId: "1",
        mainQuery: "1+1?",
        initMessages: [],
        envType: "no_env",
        metadata: { question: "1+1?", answer: "#### 2" },
      },
      { taskId: "7", mainQuery: "2+2?", initMessages: [], envType: "no_env", metadata: { a: 1, answer: "4" } },
      {
        taskId: "4",
        mainQuery: "é?",
        initMessages: [{ role: "system", content: "s" }],
        envType: "x",
        metadata: expect.objectContaining({ main_query: "é?" }),
      },
    ]);
  });

  it("never lets two tasks share an id", async () => {
    const ids = (await readJsonlTasks(validation)).map((task) => task.taskId);
    expect(ids).toEqual(["x", "x#3", "x#2", "4", "4#2"]);
  });

  it.each([
    ["{", /:1: not valid JSON/],
    ['{"question":"a"}\n[1]', /:2: expected an object but received \[1\]/],
    [
      '{"query":"a","answer":"b"}',
      /:1: expected the text of the problem under `main_query` or `question`; the keys are query, answer/,
    ],
    ['{"question":5}', /:1: expected a text under `question` but received 5/],
    ['{"main_query":" "}', /:1: expected a text under `main_query` but received " "/],
    ['{"question":"a","metadata":3}', /:1: expected an object under `metadata` but received 3/],
    ['{"question":"a","task_id":{}}', /:1: expected a text or a number under `task_id`/],
    [
      '{"question":"a","init_messages":[{"content":"x"}]}',
      /:1: expected a message with a role .* in `init_messages\[0\]`/,
    ],
    ["\n\n", /has none/],
  ])("names file, line and problem of %j", async (text, problem) => {
    const file = jsonl(text);
    await expect(readJsonlTasks(file)).rejects.toThrow(problem);
    await expect(readJsonlTasks(file)).rejects.toThrow(file);
  });

  it("names the key of a split without a file, and a file that is not there", async () => {
    const reader = new JsonlTaskReader({ training, validation: null });
    await expect(reader.read("validation")).rejects.toThrow(/task_reader\.jsonl_dataset_file\.validation\.file_path/);
    await expect(readJsonlTasks(join(folder, "none.jsonl"))).rejects.toThrow(/none\.jsonl: ENOENT/);
  });
});
