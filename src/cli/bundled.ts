import { existsSync } from "node:fs";
import { join } from "node:path";
import { PACKAGE_ROOT } from "../native/package-root.js";

/** `path` where it exists from the current folder, else below the package's root (tutorials, bundled models). */
export function findPath(path: string): string {
  if (existsSync(path)) return path;
  const bundled = join(PACKAGE_ROOT, path);
  return existsSync(bundled) ? bundled : path;
}
