import { ConfigError } from "../native/errors.js";
import { Draw } from "./draw.js";

/**
 * Which tasks a step trains on. Every epoch visits the tasks in an order of its own, drawn from the seed and the epoch's
 * number, so a step's batch follows from its number alone. Tasks that do not fill an epoch's last batch are left to
 * other epochs.
 */
export class TaskOrder {
  readonly stepsPerEpoch: number;
  private epoch = -1;
  private order: number[] = [];

  /** @param taskCount Tasks of the training split. @param batchSize Tasks a step. */
  constructor(
    private readonly taskCount: number,
    private readonly batchSize: number,
    private readonly seed: number | bigint | string,
  ) {
    this.stepsPerEpoch = Math.floor(taskCount / batchSize);
    if (this.stepsPerEpoch < 1) {
      throw new ConfigError(
        `Expected at least \`data.train_batch_size\` (${batchSize}) training tasks but received ${taskCount}: ` +
          "lower it, or add tasks",
      );
    }
  }

  /** Epoch of a step (steps count from 1, epochs from 0). */
  epochOf(step: number): number {
    return Math.floor((step - 1) / this.stepsPerEpoch);
  }

  /** Indices of the tasks of a step. */
  batch(step: number): number[] {
    const epoch = this.epochOf(step);
    if (epoch !== this.epoch) {
      const indices = Array.from({ length: this.taskCount }, (_, index) => index);
      this.order = new Draw(`task order/${this.seed}/${epoch}`).shuffle(indices);
      this.epoch = epoch;
    }
    const start = ((step - 1) % this.stepsPerEpoch) * this.batchSize;
    return this.order.slice(start, start + this.batchSize);
  }
}
