import { existsSync, statSync } from "node:fs";
import { extname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ConfigError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";
import { OWN_EXPORTS } from "./worker-entry.js";

/** A class in a user's file. */
export interface UserClass {
  /** As the YAML spells it. */
  spec: string;
  file: string;
  exportName: string;
  /** What instances find as `this.args`; nothing where it is absent. */
  args?: Record<string, unknown>;
}

/** Makes an instance of a user's class, which gets the run's configuration and has its `args`. */
export type UserFactory<T> = (config: unknown) => T;

const EXTENSIONS = [".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"];

/**
 * Finds `path/to/file.ts->ExportedClass`, or the dotted `path.to.file->ExportedClass`, from the current folder, the
 * YAML's folder or ajet's own; `ajet->ExportedClass` is one that ajet exports.
 * @param key The YAML key, for errors.
 * @throws ConfigError naming every file that was tried.
 */
export function findUserClass(key: string, spec: string, configFolder?: string): UserClass {
  const [path = "", exportName = "", ...more] = spec.split("->").map((part) => part.trim());
  if (path === "" || exportName === "" || more.length > 0) {
    throw new ConfigError(
      `Expected \`path/to/file.ts->ExportedClass\` in \`${key}\` but received ${JSON.stringify(spec)}`,
    );
  }
  if (extname(path) === ".py") {
    throw new ConfigError(
      `\`${key}\` names a Python file, ${path}: workflows and judges are TypeScript or JavaScript here`,
    );
  }
  if (path === "ajet") return { spec, file: fileURLToPath(OWN_EXPORTS), exportName };
  const folders = [process.cwd(), ...(configFolder === undefined ? [] : [resolve(configFolder)]), PACKAGE_ROOT];
  const tried: string[] = [];
  for (const folder of new Set(folders)) {
    for (const candidate of spellings(path)) {
      const file = isAbsolute(candidate) ? candidate : join(folder, candidate);
      if (!tried.includes(file)) tried.push(file);
      if (existsSync(file) && statSync(file).isFile()) return { spec, file, exportName };
    }
  }
  throw new ConfigError(`\`${key}\` names ${path}, which was not found. Tried:\n  ${tried.join("\n  ")}`);
}

function spellings(path: string): string[] {
  if (EXTENSIONS.includes(extname(path))) return [path];
  const stem = path.includes("/") ? path : path.replaceAll(".", "/");
  return EXTENSIONS.map((extension) => stem + extension);
}

/** Loads a class that has `method`. @throws ConfigError naming what the file exports instead. */
export async function loadUserClass<T extends object>(userClass: UserClass, method: string): Promise<UserFactory<T>> {
  const { file, exportName, args = {} } = userClass;
  const name = relative(process.cwd(), file);
  let namespace: Record<string, unknown>;
  try {
    namespace = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError(`${name} does not load: ${error instanceof Error ? stackOf(error) : String(error)}`, {
      cause: error,
    });
  }
  const { default: wrapped } = namespace as { default?: Record<string, unknown> }; // where CommonJS puts its exports
  const found = namespace[exportName] ?? wrapped?.[exportName];
  const names = [...new Set([...Object.keys(namespace), ...Object.keys(wrapped ?? {})])];
  if (found === undefined) {
    throw new ConfigError(`${name} has no export \`${exportName}\`; its exports are: ${names.join(", ") || "none"}`);
  }
  if (
    typeof found !== "function" ||
    typeof (found.prototype as Record<string, unknown> | undefined)?.[method] !== "function"
  ) {
    throw new ConfigError(`\`${exportName}\` of ${name} is no class with a method \`${method}\``);
  }
  const Class = found as new (config: unknown) => T;
  return (config) => Object.assign(new Class(config), { args: structuredClone(args) });
}

/** With the places in user code; what Node and the TypeScript loader did on the way there tells nothing. */
function stackOf({ stack, message }: Error): string {
  const lines = (stack ?? message).split("\n");
  return lines
    .filter((line) => !/^ +at .*(node:internal|node:events|node_modules\/(esbuild|tsx)\/)/.test(line))
    .join("\n");
}
