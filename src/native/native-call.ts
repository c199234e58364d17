import { types } from "node:util";
import {
  AbortError,
  AjetError,
  DisposedError,
  FileError,
  NativeError,
  NumericError,
  OutOfMemoryError,
  WriterGoneError,
} from "./errors.js";

type ErrorClass = new (message: string, options?: ErrorOptions) => AjetError;

/** Codes of native/binding/errors.cpp that have a class of their own; the others are NativeErrors with their code. */
const ERROR_CLASSES: Record<string, ErrorClass> = {
  ERR_AJET_NATIVE_OUT_OF_MEMORY: OutOfMemoryError,
  ERR_AJET_NATIVE_IO: FileError,
  ERR_AJET_NATIVE_CORRUPT_FILE: FileError,
  ERR_AJET_NATIVE_NUMERIC: NumericError,
  ERR_AJET_NATIVE_WRITER_GONE: WriterGoneError,
  ERR_AJET_NATIVE_DISPOSED: DisposedError,
  ERR_AJET_NATIVE_ABORTED: AbortError,
};

// biome-ignore lint/complexity/noBannedTypes: what Error.captureStackTrace takes
type Callee = Function;

/** Where a call was made: the stack of an error that is created on another thread, later. */
function callSite(callee: Callee): string {
  const site: { stack?: string } = {};
  Error.captureStackTrace(site, callee);
  return site.stack?.replace(/^[^\n]*\n?/, "") ?? "";
}

function publicError(error: unknown, frames: string): unknown {
  if (!types.isNativeError(error) || error instanceof AjetError) return error;
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string" || !code.startsWith("ERR_AJET_")) return error;
  const Class = ERROR_CLASSES[code];
  const made = Class === undefined ? new NativeError(error.message, { code }) : new Class(error.message);
  made.stack = `${made.name}: ${made.message}\n${frames}`;
  return made;
}

/** Awaits a call into the addon; its error becomes one of the public classes, with the stack of `callee`'s caller. */
export async function nativeCall<T>(callee: Callee, run: () => T | Promise<T>): Promise<T> {
  const frames = callSite(callee);
  try {
    return await run();
  } catch (error) {
    throw publicError(error, frames);
  }
}

/** As {@link nativeCall}, for a function of the addon that answers at once. */
export function nativeCallSync<T>(callee: Callee, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw publicError(error, callSite(callee));
  }
}

/** The error of a bad argument that is found before the addon sees it. */
export function invalidArgument(op: string, expected: string, name: string, received: unknown): NativeError {
  return new NativeError(`[${op}] Expected ${expected} for \`${name}\` but received ${describe(received)}`, {
    code: "ERR_AJET_NATIVE_INVALID_ARGUMENT",
  });
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 60));
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (Array.isArray(value)) return "an array";
  if (value !== null && typeof value === "object") return Object.prototype.toString.call(value).slice(8, -1);
  return String(value);
}

/** Token ids or other int32 values as an Int32Array of their own; integers only. */
export function toInt32(op: string, name: string, values: Int32Array | readonly number[]): Int32Array {
  if (types.isInt32Array(values)) return values;
  if (!Array.isArray(values)) throw invalidArgument(op, "an Int32Array or an array of integers", name, values);
  const bad = values.findIndex((value) => value !== (value | 0));
  if (bad !== -1) throw invalidArgument(op, "a 32-bit integer", `${name}[${bad}]`, values[bad]);
  return Int32Array.from(values as readonly number[]);
}
