import { describe, expect, it } from "vitest";
import type { TaskReader, TaskSplit } from "../../src/agent/task-reader.js";

/** What every task reader promises. */
export function taskReaderContract(name: string, makeReader: () => TaskReader, splits: readonly TaskSplit[]): void {
  describe.each(splits)(`${name} keeps the task reader contract (%s)`, (split) => {
    it("yields whole tasks with ids that differ", async () => {
      const tasks = await makeReader().read(split);
      expect(tasks.length).toBeGreaterThan(0);
      expect(new Set(tasks.map((task) => task.taskId)).size).toBe(tasks.length);
      for (const task of tasks) {
        expect(task.taskId).not.toBe("");
        expect(task.mainQuery.trim()).not.toBe("");
        expect(Array.isArray(task.initMessages)).toBe(true);
        expect(typeof task.envType).toBe("string");
        // Tasks cross to worker threads.
        expect(structuredClone(task)).toEqual(task);
      }
    });

    it("repeats", async () => {
      const reader = makeReader();
      const first = await reader.read(split);
      expect(await reader.read(split)).toEqual(first);
      expect(await makeReader().read(split)).toEqual(first);
    });
  });
}
