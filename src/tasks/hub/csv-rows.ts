import { FileError } from "../../native/errors.js";
import type { TaskRecord } from "../task-record.js";

/** The rows of a CSV text (RFC 4180) under the names of its first line. All values are texts. */
export function csvRows(text: string, file: string, separator: "," | "\t"): TaskRecord[] {
  const [header, ...lines] = csvLines(text.replace(/^\ufeff/, ""), file, separator);
  if (header === undefined) return [];
  return lines.map((values, index) => {
    if (values.length !== header.length) {
      throw new FileError(
        `${file}: row ${index + 1} has ${values.length} values, and the first line names ${header.length}`,
      );
    }
    return Object.fromEntries(header.map((name, column) => [name, values[column]]));
  });
}

function csvLines(text: string, file: string, separator: string): string[][] {
  // A value and what ends it: a quoted one may hold separators, line ends and doubled quotes.
  const value = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}\\r\\n]*))(${separator}|\\r\\n|\\n|\\r|$)`, "y");
  const lines: string[][] = [];
  let line: string[] = [];
  while (value.lastIndex < text.length) {
    const start = value.lastIndex;
    const [, quoted, plain, end] = value.exec(text) ?? [];
    if (end === undefined) {
      const number = text.slice(0, start).split("\n").length;
      throw new FileError(`${file}:${number}: a quote is not closed, or stands within a value`);
    }
    line.push(quoted === undefined ? (plain as string) : quoted.replaceAll('""', '"'));
    if (end === separator && value.lastIndex < text.length) continue;
    if (end === separator) line.push("");
    if (line.length > 1 || line[0] !== "") lines.push(line);
    line = [];
  }
  return lines;
}
