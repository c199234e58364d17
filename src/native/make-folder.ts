import { accessSync, constants, mkdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { fileError } from "./file-error.js";

/** Makes a folder where it is missing. @throws FileError */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError(`Cannot make the folder ${path}`, error);
  }
}

/**
 * Makes the folder that results will go to, where it is missing: to be called before the work, not after it.
 * @param key The key or option that names it, for the error.
 * @throws FileError where nothing can be written there.
 */
export function makeWritableFolder(folder: string, key: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fileError(`Cannot write to ${folder}, which \`${key}\` names`, error);
  }
}
