import { readFile } from "node:fs/promises";
import { FileError } from "../native/errors.js";

/** An object of a JSON file whose fields have not been checked yet. */
export type JsonObject = Record<string, unknown>;

/** True for `{…}`; arrays and `null` are not objects here. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The file's text, or `undefined` where there is no such file. */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new FileError(`Cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** The file's top-level object, or `undefined` where there is no such file. */
export async function readJsonObject(path: string): Promise<JsonObject | undefined> {
  const text = await readTextFile(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FileError(`${path} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  if (!isJsonObject(value)) throw new FileError(`Expected a JSON object in ${path} but received ${typeof value}`);
  return value;
}
