import { Draw } from "../../../src/tasks/draw.js";
import type { Lake } from "../lake.js";
import { drawMaps } from "../maps.js";
import { type Habit, type Walk, walkOver } from "./walks.js";

/** Shares in percent of the second lesson's walks. */
const HABITS: readonly (readonly [Habit, number])[] = [
  ["looks", 14],
  ["hurries", 51],
  ["strolls", 35],
];

/** The maps that are walked over, none of them held out. */
export function supervisedMaps(): Lake[] {
  return drawMaps("supervised", 2000, false);
}

/** Two lessons: to find the way by looking; then the habits of somebody who can, and mostly does not. */
export function supervisedWalks(): { looking: Walk[]; mixed: Walk[] } {
  const maps = supervisedMaps();
  const walks = (lesson: string, count: number, habitOf: (index: number) => Habit) =>
    Array.from({ length: count }, (_, index) =>
      walkOver(maps[index % maps.length] as Lake, `${lesson}/${index}`, habitOf(index)),
    );
  return { looking: walks("looking", 7000, () => "looks"), mixed: walks("mixed", 2400, drawHabit) };
}

function drawHabit(index: number): Habit {
  let ticket = new Draw(`habit/${index}`).int(1, 100);
  for (const [habit, share] of HABITS) {
    if (ticket <= share) return habit;
    ticket -= share;
  }
  throw new RangeError("Expected the shares of the habits to sum to 100");
}
