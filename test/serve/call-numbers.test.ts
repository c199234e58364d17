import { afterEach, describe, expect, it } from "vitest";
import { CALL_ORDINAL_HEADER, CallNumbers } from "../../src/serve/call-numbers.js";
import { Harness, saying } from "./harness.js";

const BODY = { model: "any", messages: [{ role: "user", content: "hi" }] };

describe("CallNumbers", () => {
  it("gives a call the number that it asks for, else the smallest that is free, and each number once", () => {
    const numbers = new CallNumbers();
    const wanted = [2, undefined, 2, 7, undefined, 0, 7, undefined];
    expect(wanted.map((number) => numbers.take(number))).toEqual([2, 0, 1, 7, 3, 4, 5, 6]);
    expect(numbers.take()).toBe(8);
  });
});

describe("the header with a call's number", () => {
  let harness: Harness;
  afterEach(() => harness.server.stop());

  const post = (ordinal: string, body: object = BODY) =>
    harness.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", [CALL_ORDINAL_HEADER]: ordinal },
      body: JSON.stringify(body),
    });

  it("decides which of the equal calls it is, and is counted for each prompt anew", async () => {
    harness = await Harness.start(() => saying("x"));
    harness.open("again");
    for (const ordinal of ["1", "0", "2"]) await post(ordinal);
    const byNumber = harness.records.toSorted((a, b) => a.repetition - b.repetition);
    expect(harness.records.map(({ repetition }) => repetition)).toEqual([1, 0, 2]);
    // As a client that does not count has them, one after the other.
    for (let i = 0; i < 3; i++) await harness.post(BODY, "again");
    expect(harness.records.slice(3).map(({ callId }) => callId)).toEqual(byNumber.map(({ callId }) => callId));
    await post("0", { ...BODY, temperature: 0.5 });
    expect(harness.records.at(-1)?.repetition).toBe(0);
  });

  it.each(["-1", "1.5", "", "65536", "x"])("%j is a 400 that names it", async (ordinal) => {
    harness = await Harness.start(() => saying("x"));
    const response = await post(ordinal);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string; code: string } };
    expect(error).toMatchObject({ code: "invalid_header", message: expect.stringContaining(CALL_ORDINAL_HEADER) });
    expect(harness.records).toEqual([]);
  });
});
