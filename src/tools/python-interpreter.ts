import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { ConfigError } from "../native/errors.js";

/** A CPython that was run once. */
export interface PythonInterpreter {
  /** The interpreter itself, not a version manager's shim (a shim costs 100 ms a start). */
  path: string;
  /** Folders that it needs, `/usr` left out. */
  prefixes: string[];
  version: string;
}

const OLDEST = [3, 9] as const;
/** A busy machine may take long to start an interpreter. */
export const START_MS = 60_000;
const DESCRIBE =
  "import json, sys; print(json.dumps([sys.executable, list(sys.version_info[:3]), " +
  "[sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]]))";

/** The first of `preferred` (if given), `/usr/bin/python3`, and the `python3` that the PATH knows. */
export async function findPython(preferred?: string): Promise<PythonInterpreter> {
  const candidates = preferred === undefined ? ["/usr/bin/python3", findExecutable("python3")] : [preferred];
  const problems: string[] = [];
  for (const candidate of candidates) {
    if (candidate === undefined) continue;
    try {
      return await describePython(candidate);
    } catch (error) {
      const { killed, message } = error as Error & { killed?: boolean };
      problems.push(`${candidate}: ${killed ? `no answer within ${START_MS / 1000} s` : message.split("\n")[0]}`);
    }
  }
  throw new ConfigError(
    `The Python tool needs Python ${OLDEST.join(".")} or newer, and none was found` +
      `${problems.length ? ` (${problems.join("; ")})` : ""}. Install it, e.g. with \`apt-get install python3\`.`,
  );
}

async function describePython(path: string): Promise<PythonInterpreter> {
  const { stdout } = await promisify(execFile)(path, ["-I", "-S", "-c", DESCRIBE], { timeout: START_MS });
  const [executable, version, prefixes] = JSON.parse(stdout) as [string, number[], string[]];
  const [major = 0, minor = 0] = version;
  if (major !== OLDEST[0] || minor < OLDEST[1]) throw new Error(`it is Python ${version.join(".")}`);
  return { path: executable, prefixes: [...new Set(prefixes)], version: version.join(".") };
}

/** The absolute path of a program on the PATH. */
export function findExecutable(name: string): string | undefined {
  const { PATH = "" } = process.env;
  return PATH.split(delimiter)
    .concat("/usr/bin", "/bin", "/usr/sbin")
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
