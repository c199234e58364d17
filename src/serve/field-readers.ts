import type { JsonObject } from "../text/json-file.js";
import { unexpectedField } from "./api-error.js";

interface NumberRange {
  min: number;
  max: number;
  integer?: boolean;
  /** `min` itself is out, as in (0, 1]. */
  aboveMin?: boolean;
  /** `max` itself is out, as in [0, 1). */
  belowMax?: boolean;
}

/** A number of the body, or `undefined` where it is absent or `null`. 400 outside `range`. */
export function readNumber(body: JsonObject, param: string, range: NumberRange): number | undefined {
  const value = body[param];
  if (value === undefined || value === null) return undefined;
  const { min, max, integer = false, aboveMin = false, belowMax = false } = range;
  const inside =
    typeof value === "number" &&
    (aboveMin ? value > min : value >= min) &&
    (belowMax ? value < max : value <= max) &&
    (!integer || Number.isInteger(value));
  if (inside) return value;
  const kind = integer ? "an integer" : "a number";
  throw unexpectedField(param, `${kind} in ${aboveMin ? "(" : "["}${min}, ${max}${belowMax ? ")" : "]"}`, value);
}

/** A boolean of the body, `false` where it is absent or `null`. */
export function readFlag(body: JsonObject, param: string, path = param): boolean {
  const value = body[param];
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw unexpectedField(path, "a boolean", value);
  return value;
}
