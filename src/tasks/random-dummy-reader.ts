import type { Task } from "../agent/task.js";
import type { TaskReader, TaskSplit } from "../agent/task-reader.js";
import { Draw } from "./draw.js";

/** Seeded tasks about nothing but a number, to try a workflow before there is a data set. */
export class RandomDummyTaskReader implements TaskReader {
  /** @param count Tasks of each split. */
  constructor(
    private readonly count: number,
    private readonly seed: number,
  ) {}

  async read(split: TaskSplit): Promise<Task[]> {
    const numbers = Array.from({ length: this.count }, (_, index) => index);
    return new Draw(`random dummy/${this.seed}/${split}`).shuffle(numbers).map((number, index) => ({
      taskId: String(index),
      mainQuery: `The number is ${number}.`,
      initMessages: [],
      envType: "no_env",
      metadata: { random_number: number, answer: String(number) },
    }));
  }
}
