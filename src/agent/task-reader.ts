import type { Task } from "./task.js";

/** `unseen` is a second held-out set, reported beside the validation set. */
export type TaskSplit = "training" | "validation" | "unseen";

/** Yields the tasks of a split. */
export interface TaskReader {
  /** The same tasks in the same order each time, with task ids that differ. */
  read(split: TaskSplit): Promise<Task[]>;
}
