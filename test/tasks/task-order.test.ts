import { expect, it } from "vitest";
import { TaskOrder } from "../../src/tasks/task-order.js";

it("visits every task once an epoch, in an order of its own", () => {
  const order = new TaskOrder(12, 4, 42);
  expect(order.stepsPerEpoch).toBe(3);
  const epochs = [0, 1, 2].map((epoch) => [1, 2, 3].flatMap((step) => order.batch(epoch * 3 + step)));
  for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i));
  expect(epochs[0]).not.toEqual(epochs[1]);
  expect(epochs[1]).not.toEqual(epochs[2]);
});

it("draws a step from its number and the seed alone", () => {
  const once = new TaskOrder(100, 8, 42);
  const steps = Array.from({ length: 60 }, (_, i) => i + 1);
  const forward = steps.map((step) => once.batch(step));
  const backward = [...steps]
    .reverse()
    .map((step) => new TaskOrder(100, 8, 42).batch(step))
    .reverse();
  expect(backward).toEqual(forward);
  expect(steps.map((step) => new TaskOrder(100, 8, 43).batch(step))).not.toEqual(forward);
});

it("leaves incomplete batches to other epochs", () => {
  const order = new TaskOrder(10, 4, 1);
  expect(order.stepsPerEpoch).toBe(2);
  const seen = new Set(Array.from({ length: 20 }, (_, i) => order.batch(i + 1)).flat());
  expect(seen.size).toBe(10);
});

it("refuses a batch larger than the data", () => {
  expect(() => new TaskOrder(3, 4, 1)).toThrow(/`data.train_batch_size` \(4\).* 3/);
});
