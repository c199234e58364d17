import { FileError } from "../../native/errors.js";
import { parseJsonl } from "../jsonl-reader.js";
import { isRecord, type TaskRecord } from "../task-record.js";

/** The rows of a JSON file: an array of objects, or one under `data`; else one object a line. */
export function jsonRows(text: string, file: string): TaskRecord[] {
  const whole = parseWhole(text, file);
  const list = isRecord(whole) && Array.isArray(whole["data"]) ? whole["data"] : whole;
  if (!Array.isArray(list)) return parseJsonl(text, file).map(({ record }) => record);
  const wrong = list.findIndex((row) => !isRecord(row));
  if (wrong >= 0) throw new FileError(`${file}: expected an object as row ${wrong} but received ${show(list[wrong])}`);
  return list as TaskRecord[];
}

/** `undefined` for what is no single JSON value: lines, then. */
function parseWhole(text: string, file: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (error) {
    if (!/^\ufeff?\s*\[/.test(text)) return undefined;
    throw new FileError(`${file}: not valid JSON (is it cut short?): ${(error as Error).message}`, { cause: error });
  }
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}
