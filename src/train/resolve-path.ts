import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { ConfigError } from "../native/errors.js";

/** Where relative paths of a configuration are looked up, after the current folder. */
export interface PathRoots {
  /** Its folder comes second. */
  yamlFile: string;
  /** Where bundled tutorials and models lie; looked up last. */
  packageRoot: string;
}

/**
 * A path of the configuration, from the current folder, the YAML's folder or the package, whichever has it.
 * @param key The YAML key, for errors.
 * @throws ConfigError when none has it.
 */
export function resolvePath(key: string, path: string, roots: PathRoots): string {
  const folders = [process.cwd(), dirname(roots.yamlFile), roots.packageRoot];
  const candidates = isAbsolute(path) ? [path] : [...new Set(folders)].map((folder) => join(folder, path));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined)
    throw new ConfigError(`\`${key}\` names ${path}, which does not exist (tried ${candidates.join(", ")})`);
  return found;
}
