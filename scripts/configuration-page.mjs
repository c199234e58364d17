/**
 * Writes docs/configuration.md from the schema: every key with its type, default and meaning.
 *
 *   npm run build && node scripts/configuration-page.mjs
 */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";

const PAGE = fileURLToPath(new URL("../docs/configuration.md", import.meta.url));

const INTRODUCTION = `# Configuration

<!-- Made by scripts/configuration-page.mjs from src/config/schema.ts: change that file, not this one. -->

A run is described by a YAML file with everything below one key, \`ajet\`. The smallest one:

\`\`\`yaml
ajet:
  model: { path: models/ajet-tiny }
  task_reader:
    jsonl_dataset_file:
      training: { file_path: tasks.jsonl }
  rollout: { user_workflow: agent.ts->Agent }
\`\`\`

\`--set rollout.num_repeat=4\` on the command line overrides any key; the value is read as YAML. A key that does not exist is an
error that names the nearest one. Keys of AgentJet that have nothing to steer here are taken, and the run says so once. Relative
paths are looked up from the current folder, then from the YAML's, then in the package. What a run was really started with
stands in its \`config.yaml\`.
`;

/** The page for a schema. */
export function configurationPage(schema) {
  const { properties } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  const plain = Object.entries(properties).filter(([, node]) => !isSection(node));
  const sections = Object.entries(properties).filter(([, node]) => isSection(node));
  const tables = [["Top level", plain.flatMap(([name, node]) => rowsOf(name, node))]];
  for (const [name, node] of sections) {
    tables.push([name, rowsOf(name, node)]);
  }
  const texts = tables.map(([title, rows]) => {
    const lines = rows.map((cells) => `| ${cells.join(" | ")} |`);
    return `## ${title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n${lines.join("\n")}\n`;
  });
  return [INTRODUCTION, ...texts].join("\n");
}

/** Every key that takes a value, with its node of the JSON schema. */
export function keysOf(node, path = "", isRequired = false) {
  if (!isSection(node)) return [{ path, node, isRequired }];
  return Object.entries(node.properties).flatMap(([key, child]) =>
    keysOf(child, path ? `${path}.${key}` : key, node.required?.includes(key)),
  );
}

function rowsOf(path, node) {
  return keysOf(node, path).map(({ path: key, node: leaf, isRequired }) => [
    `\`${key}\``,
    typeOf(leaf),
    isRequired ? "must be given" : defaultOf(leaf),
    escaped(leaf.description ?? ""),
  ]);
}

function isSection(node) {
  return node.properties !== undefined;
}

function typeOf(node) {
  if (node.anyOf) return [...new Set(node.anyOf.map(typeOf))].join(" or ");
  if (node.const !== undefined) return `\`${JSON.stringify(node.const)}\``;
  if (node.enum) return node.enum.map((value) => `\`${value}\``).join(", ");
  if (Array.isArray(node.type)) return node.type.map((type) => typeOf({ ...node, type })).join(" or ");
  if (node.type === "array") return `list of ${typeOf(node.items)}`;
  if (node.type === "object") return "mapping";
  if (node.type === "null") return "`null`";
  return [node.type === "integer" ? "whole number" : node.type, rangeOf(node)].filter(Boolean).join(" ");
}

function rangeOf({ minimum, exclusiveMinimum, maximum }) {
  const low =
    exclusiveMinimum !== undefined ? `above ${exclusiveMinimum}` : minimum !== undefined ? `from ${minimum}` : "";
  const isReal = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  return [low.replace(`from ${Number.MIN_SAFE_INTEGER}`, ""), isReal ? `to ${maximum}` : ""].filter(Boolean).join(" ");
}

function defaultOf(node) {
  return node.default === undefined ? "" : `\`${JSON.stringify(node.default)}\``;
}

function escaped(text) {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { ajetSchema } = await import("../dist/config/schema.js");
  writeFileSync(PAGE, configurationPage(ajetSchema));
  console.log(`wrote ${PAGE}`);
}
