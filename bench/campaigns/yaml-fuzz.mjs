/**
 * Random damage to the tutorial's YAML and random `--set` values: each must load, or be refused with a ConfigError that
 * names the place. Anything else (a TypeError, a hang, an empty message) is a finding.
 *
 *   node bench/campaigns/yaml-fuzz.mjs [cases, default 20000] [seed, default 1]
 *
 * Takes about a minute. Exits 1 on a finding.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../dist/config/load-config.js";
import { ConfigError } from "../../dist/native/errors.js";
import { lossOptions } from "../../dist/train/loss-options.js";
import { ROOT } from "./ajet.mjs";

const cases = Number(process.argv[2] ?? 20000);
let state = Number(process.argv[3] ?? 1) * 2654435761 || 1;
const folder = mkdtempSync(join(tmpdir(), "ajet-fuzz-"));
const file = join(folder, "run.yaml");
const yaml = readFileSync(join(ROOT, "tutorial/example_math_agent/math_agent.yaml"), "utf8");
const KEYS = [...yaml.matchAll(/^\s*(\w+):/gm)].map(([, key]) => key);
const VALUES = [
  "",
  "null",
  "-1",
  "0",
  "1e400",
  ".nan",
  "[]",
  "{}",
  "[1, {a: b}]",
  "yes",
  "'",
  "&a [*a]",
  "!!js/function x",
];
const WORDS = [...VALUES, "a->b", "../..", "\u0000", "日本語", "__proto__", "constructor", "x".repeat(5000), "cuda:0"];

const PROTOTYPE = Object.getOwnPropertyNames(Object.prototype).length;

const outcomes = { loaded: 0, refused: 0, findings: 0 };
for (let i = 0; i < cases; i++) {
  const text = damage(yaml);
  const overrides = Array.from({ length: below(3) }, () => {
    const path = Array.from({ length: 1 + below(3) }, () => (below(8) === 0 ? pick(WORDS) : pick(KEYS))).join(".");
    return `${path}=${pick(WORDS)}`;
  });
  writeFileSync(file, text);
  try {
    lossOptions(loadConfig(file, overrides).config);
    outcomes.loaded++;
  } catch (error) {
    if (error instanceof ConfigError && error.message.length > 10) outcomes.refused++;
    else {
      outcomes.findings++;
      console.log(`case ${i}: ${error?.stack ?? error}\noverrides ${JSON.stringify(overrides)}\n${text}\n`);
    }
  }
  if (Object.getOwnPropertyNames(Object.prototype).length !== PROTOTYPE)
    throw new Error(`case ${i} changed Object.prototype`);
}
rmSync(folder, { recursive: true });
console.log(outcomes);
process.exit(outcomes.findings === 0 ? 0 : 1);

/** Up to four changes: characters, lines, values, indentation. */
function damage(text) {
  let lines = text.split("\n");
  for (let times = below(5); times > 0; times--) {
    const at = below(lines.length);
    const line = lines[at] ?? "";
    const changes = [
      () => lines.splice(at, 1),
      () => lines.splice(at, 0, lines[below(lines.length)] ?? ""),
      () => (lines[at] = line.replace(/:.*/, `: ${pick(WORDS)}`)),
      () => (lines[at] = line.replace(/\w+:/, `${pick(KEYS)}:`)),
      () => (lines[at] = " ".repeat(below(9)) + line.trimStart()),
      () =>
        (lines[at] =
          line.slice(0, below(line.length + 1)) + String.fromCharCode(below(256)) + line.slice(below(line.length + 1))),
      () => (lines = lines.slice(0, at)),
    ];
    pick(changes)();
    if (lines.length === 0) lines = [""];
  }
  return lines.join("\n");
}

function pick(list) {
  return list[below(list.length)];
}

/** xorshift32. */
function below(limit) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}
