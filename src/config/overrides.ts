import { inspect } from "node:util";
import { load } from "js-yaml";
import { ConfigError } from "../native/errors.js";

/** A tree of plain YAML values. */
export type YamlTree = { [key: string]: unknown };

/** True for a YAML mapping. */
export function isTree(value: unknown): value is YamlTree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Characters of a value in a message. */
const SHOWN = 100;

/** A value for messages. YAML's aliases can make it circular. */
export function show(value: unknown): string {
  const isTreeOrList = typeof value === "object" && value !== null;
  const text = isTreeOrList
    ? inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY })
    : JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/**
 * Applies `a.b=c` overrides, paths below `ajet:`; values are read as YAML, so `null`, numbers and lists work.
 * @throws ConfigError on a text without `=` or a path through a value that is no mapping.
 */
export function applyOverrides(tree: YamlTree, overrides: readonly string[]): void {
  for (const override of overrides) {
    const equals = override.indexOf("=");
    if (equals <= 0) throw new ConfigError(`Expected KEY=VALUE for --set but received "${override}"`);
    const path = override
      .slice(0, equals)
      .trim()
      .replace(/^ajet\./, "");
    setPath(tree, path, parseValue(path, override.slice(equals + 1)));
  }
}

function parseValue(path: string, text: string): unknown {
  try {
    return load(text);
  } catch (error) {
    throw new ConfigError(`Expected a YAML value for --set ${path} but received "${text}"`, { cause: error });
  }
}

function setPath(tree: YamlTree, path: string, value: unknown): void {
  const keys = path.split(".");
  if (keys.some((key) => key === "" || key === "__proto__")) {
    throw new ConfigError(`Expected keys between the dots of --set but received "${path}"`);
  }
  const last = keys.pop() as string;
  let node = tree;
  for (const key of keys) {
    const child = Object.hasOwn(node, key) ? node[key] : undefined;
    if (child === undefined || child === null) node[key] = {};
    else if (!isTree(child)) {
      throw new ConfigError(`Cannot set \`${path}\`: \`${key}\` is ${show(child)}, not a mapping`);
    }
    node = node[key] as YamlTree;
  }
  node[last] = value;
}
