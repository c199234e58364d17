import { createHash } from "node:crypto";
import { type Cell, Lake } from "./lake.js";

const SIZE = 4;
/** Chance of a hole, of 256. */
const HOLE_CHANCE = 64;
/** One layout in so many is held out: its digest says which, so that no training map is ever a held-out one. */
const HELD_OUT_SHARE = 8;
/** Draws a map: rare layouts take many, and those that do not exist would take forever. */
const MOST_DRAWS = 50;

/**
 * Different maps that can be solved. The same key gives the same maps on every machine.
 * @param heldOut Only layouts that are never trained on, or only the others.
 */
export function drawMaps(key: string, count: number, heldOut: boolean): Lake[] {
  const maps = new Map<string, Lake>();
  for (let number = 0; maps.size < count; number++) {
    if (number >= MOST_DRAWS * count)
      throw new RangeError(`Expected fewer maps than ${count} of ${SIZE} by ${SIZE} cells`);
    const lake = new Lake(drawRows(`${key}/${number}`));
    const isHeldOut = digest(`layout/${lake.layout}`)[0] as number;
    if ((isHeldOut % HELD_OUT_SHARE === 0) === heldOut && lake.distances().has(0)) maps.set(lake.layout, lake);
  }
  return [...maps.values()];
}

function drawRows(key: string): string[] {
  const bytes = digest(key);
  const cells: Cell[] = Array.from({ length: SIZE * SIZE }, (_, index) =>
    (bytes[index] as number) < HOLE_CHANCE ? "H" : "F",
  );
  cells[0] = "S";
  cells[cells.length - 1] = "G";
  return Array.from({ length: SIZE }, (_, row) => cells.slice(row * SIZE, (row + 1) * SIZE).join(""));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(`frozen lake/${text}`).digest();
}
