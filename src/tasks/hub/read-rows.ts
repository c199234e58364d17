import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { FileError } from "../../native/errors.js";
import type { TaskRecord } from "../task-record.js";
import { csvRows } from "./csv-rows.js";
import { jsonRows } from "./json-rows.js";
import { parquetRows } from "./parquet-rows.js";

const DATA_FILE = /\.(parquet|(jsonl|ndjson|json|csv|tsv)(\.gz)?)$/i;
/** JSON files that describe a data set and hold none of it. */
const DESCRIPTIONS = /(^|\/)(dataset_infos?|dataset_dict|state|croissant|config|package|tsconfig)\.json$/i;

/** True for a file that {@link readRows} reads. */
export function isDataFile(path: string): boolean {
  return DATA_FILE.test(path) && !DESCRIPTIONS.test(path);
}

/**
 * The rows of a data file, by its ending.
 * @throws FileError where it is cut short or corrupt.
 */
export async function readRows(file: string): Promise<TaskRecord[]> {
  const format = DATA_FILE.exec(file)?.[1]?.toLowerCase().replace(".gz", "") ?? "";
  if (format === "parquet") return parquetRows(file);
  const text = await readText(file);
  if (format === "csv" || format === "tsv") return csvRows(text, file, format === "csv" ? "," : "\t");
  return jsonRows(text, file);
}

async function readText(file: string): Promise<string> {
  try {
    const bytes = await readFile(file);
    return (file.toLowerCase().endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FileError(`Cannot read ${file}: ${code ?? message}`, { cause: error });
  }
}
