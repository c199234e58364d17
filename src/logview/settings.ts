import { inspect } from "node:util";
import { load } from "js-yaml";
import { isTree } from "../config/overrides.js";
import type { ConfinedFolder, RelativePath } from "./confined-folder.js";

/** The configuration of a run, one dotted key a setting, values as JSON; empty where there is none. */
export function readSettings(folder: ConfinedFolder, run: RelativePath): Record<string, string> {
  const text = folder.read([...run, "config.yaml"], 0, MOST_BYTES)?.bytes.toString("utf8");
  if (text === undefined) return {};
  let tree: unknown;
  try {
    tree = load(text);
  } catch {
    return {};
  }
  const settings: Record<string, string> = {};
  flatten(isTree(tree) ? (tree["ajet"] ?? tree) : {}, "", settings, 0);
  return settings;
}

/** Nesting beyond which a value is shown as a whole. */
const MOST_LEVELS = 12;
const MOST_SETTINGS = 2000;
/** A configuration that is larger is not ours. */
const MOST_BYTES = 2 ** 20;

function flatten(value: unknown, path: string, into: Record<string, string>, level: number): void {
  if (isTree(value) && Object.keys(value).length > 0 && level < MOST_LEVELS) {
    for (const [key, entry] of Object.entries(value)) flatten(entry, path ? `${path}.${key}` : key, into, level + 1);
  } else if (path !== "" && Object.keys(into).length < MOST_SETTINGS) {
    into[path] = shown(value);
  }
}

/** YAML's aliases can make a value circular, or huge. */
function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  return inspect(value, { depth: 3, maxArrayLength: 50, maxStringLength: 1000, breakLength: Number.POSITIVE_INFINITY });
}
