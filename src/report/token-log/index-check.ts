import type { StepTrailer } from "./frames.js";
import { EPISODE_COLUMNS, type IndexColumns } from "./step-index.js";

/**
 * A step's index, looked through: its checksum says that it is as it was written, not that it fits the step.
 * @param trailer Of the step: no block lies behind its end.
 * @throws TypeError where a column is missing, too short, or leads to a place that the step does not have.
 */
export function checkIndex(json: unknown, { stepBytes, episodes: count }: StepTrailer): IndexColumns {
  const index = json as IndexColumns;
  const { blocks, groups, episodes, tokens } = index;
  const isBlock = isPlaceIn(blocks.at.length);
  const isFine =
    isPlace(index.step) &&
    holds(blocks, ["at", "bytes"], blocks.at.length, isPlace) &&
    blocks.at.every((at, i) => at + (blocks.bytes[i] as number) <= stepBytes) &&
    holds(groups, ["task_id"], groups.task_id.length, isText) &&
    holds(groups, ["block"], groups.task_id.length, isBlock) &&
    holds(groups, ["offset"], groups.task_id.length, isPlace) &&
    holds(episodes, EPISODE_COLUMNS, count, isNumberOrNull) &&
    holds(episodes, ["group"], count, isPlaceIn(groups.task_id.length)) &&
    holds(episodes, ["block"], count, isBlock) &&
    holds(episodes, ["offset"], count, isPlace) &&
    holds(tokens, ["id", "length"], tokens.id.length, isPlace) &&
    isText(tokens.bytes);
  if (!isFine) throw new TypeError("Expected the index of a step");
  return index;
}

/** True where columns are lists of the length, and every value in them passes. */
function holds(
  columns: object,
  names: readonly string[],
  length: number,
  passes: (value: unknown) => boolean,
): boolean {
  return names.every((name) => {
    const column = (columns as Record<string, unknown>)[name];
    return Array.isArray(column) && column.length === length && column.every(passes);
  });
}

function isPlace(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isPlaceIn(length: number): (value: unknown) => boolean {
  return (value) => isPlace(value) && (value as number) < length;
}

function isNumberOrNull(value: unknown): boolean {
  return typeof value === "number" || value === null;
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}
