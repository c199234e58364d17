import { FileError } from "./errors.js";

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: " (the disk is full)",
  EDQUOT: " (the disk quota is used up)",
};

/** A failure of the file system as a FileError: what was tried, and the system's code with its remedy where it is known. */
export function fileError(attempt: string, error: unknown): FileError {
  if (error instanceof FileError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  return new FileError(`${attempt}: ${code}${REMEDIES[code] ?? ""}`, { cause: error });
}
