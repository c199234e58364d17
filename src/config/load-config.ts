import { readFileSync } from "node:fs";
import { load, YAMLException } from "js-yaml";
import { z } from "zod";
import { ConfigError } from "../native/errors.js";
import { nearest } from "../text/nearest.js";
import { applyOverrides, isTree, show, type YamlTree } from "./overrides.js";
import { type AjetConfig, ajetSchema } from "./schema.js";
import { describeIdleKeys, removeKeysWithoutEffect } from "./without-effect.js";

/** A configuration and what is to be said about it. */
export interface LoadedConfig {
  config: AjetConfig;
  /** Keys that were given but steer nothing here, one sentence each. */
  notes: string[];
}

/**
 * Reads a run's YAML, applies `--set` overrides and fills in the defaults.
 * @throws ConfigError naming the file, the key, the value and what is expected.
 */
export function loadConfig(file: string, overrides: readonly string[] = []): LoadedConfig {
  const tree = ajetTree(file);
  applyOverrides(tree, overrides);
  return resolveConfig(tree, file);
}

/** As {@link loadConfig}, from the mapping under `ajet:`. */
export function resolveConfig(tree: YamlTree, file: string): LoadedConfig {
  const notes = removeKeysWithoutEffect(tree);
  const parsed = ajetSchema.safeParse(tree);
  if (!parsed.success) {
    throw new ConfigError(`${file}:\n${parsed.error.issues.map((issue) => `  ${describe(issue, tree)}`).join("\n")}`);
  }
  return { config: parsed.data, notes: [...notes, ...describeIdleKeys(tree, parsed.data)] };
}

function ajetTree(file: string): YamlTree {
  let document: unknown;
  try {
    document = load(readFileSync(file, "utf8"), { filename: file });
  } catch (error) {
    if (error instanceof YAMLException)
      throw new ConfigError(`${file} is not valid YAML: ${error.message}`, { cause: error });
    const code = (error as NodeJS.ErrnoException).code;
    throw new ConfigError(`Cannot read the configuration ${file}: ${code ?? String(error)}`, { cause: error });
  }
  if (!isTree(document)) throw new ConfigError(`Expected a mapping with the key \`ajet\` in ${file}`);
  const { ajet, ...others } = document;
  if (isTree(ajet)) return ajet;
  // The seed's page shows the sections without indentation below an empty `ajet:`.
  if (ajet === null && Object.keys(others).length > 0) return others;
  const found = Object.keys(document).join(", ");
  throw new ConfigError(`Expected a mapping under the key \`ajet\` in ${file}; its keys are: ${found || "none"}`);
}

function describe(issue: z.core.$ZodIssue, tree: YamlTree): string {
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => unknownKey(path, key)).join("\n  ");
  }
  let value: unknown = tree;
  for (const key of issue.path) value = isTree(value) ? value[String(key)] : undefined;
  const problem = problemOf(issue);
  if (value === undefined) return `\`${path}\` is missing. ${problem}`;
  return `\`${path}\`: ${problem}, but received ${show(value)}`;
}

/** YAML's words for what zod expects. */
const TYPES: Readonly<Record<string, string>> = {
  object: "a mapping",
  record: "a mapping",
  array: "a list",
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
};

function problemOf(issue: z.core.$ZodIssue): string {
  const isPlain = issue.code === "invalid_type" && issue.message.startsWith("Invalid input");
  return isPlain ? `Expected ${TYPES[issue.expected] ?? issue.expected}` : issue.message;
}

function unknownKey(path: string, key: string): string {
  const full = path ? `${path}.${key}` : key;
  const siblings = knownKeys(path);
  const close = nearest(key, siblings);
  const remedy = close ? `did you mean \`${path ? `${path}.` : ""}${close}\`?` : `known here: ${siblings.join(", ")}`;
  return `\`${full}\` is not a key: ${remedy}`;
}

/** The keys that the schema has at a path. */
function knownKeys(path: string): string[] {
  let node = z.toJSONSchema(ajetSchema, { io: "input" }) as { properties?: Record<string, unknown> };
  for (const key of path ? path.split(".") : []) node = (node.properties?.[key] ?? {}) as typeof node;
  return Object.keys(node.properties ?? {});
}
