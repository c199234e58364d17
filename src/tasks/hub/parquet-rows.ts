import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { FileError } from "../../native/errors.js";
import type { TaskRecord } from "../task-record.js";

/** The rows of a Parquet file. */
export async function parquetRows(path: string): Promise<TaskRecord[]> {
  try {
    const file = await asyncBufferFromFile(path);
    const rows = await parquetReadObjects({ file, compressors });
    return rows.map((row) => plain(row) as TaskRecord);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new FileError(`Cannot read the Parquet file ${path} (is it cut short?): ${message}`, { cause: error });
  }
}

/** Values as JSON has them: 64-bit integers as numbers where exact, dates as texts. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}
