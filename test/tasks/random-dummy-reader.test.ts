import { expect, it } from "vitest";
import { RandomDummyTaskReader } from "../../src/tasks/random-dummy-reader.js";
import { taskReaderContract } from "./reader-contract.js";

taskReaderContract("RandomDummyTaskReader", () => new RandomDummyTaskReader(20, 42), ["training", "validation"]);

it("draws its numbers from the seed and the split", async () => {
  const numbers = async (seed: number, split: "training" | "validation") =>
    (await new RandomDummyTaskReader(1000, seed).read(split)).map(({ metadata }) => metadata["random_number"]);
  const training = await numbers(42, "training");
  expect(new Set(training).size).toBe(1000);
  expect(await numbers(43, "training")).not.toEqual(training);
  expect(await numbers(42, "validation")).not.toEqual(training);
});
