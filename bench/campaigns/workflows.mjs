/**
 * The whole tutorial with each of its four workflows, and whether each run meets the tutorial's bars.
 *
 *   node bench/campaigns/workflows.mjs [seed, default 42] [files, default all four] [--keep folder]
 *
 * Prints a row of a Markdown table as each run ends. Takes 2 to 3 minutes a workflow on 2 cores. Exits 1 where a
 * workflow misses a bar. `--keep` leaves the runs in a folder.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { TokenLogReader } from "../../dist/report/token-log/reader.js";
import { ajet, settings } from "./ajet.mjs";

const WORKFLOWS = {
  math_agent: "AgentScope style",
  math_agent_oai_sdk: "OpenAI SDK",
  math_agent_raw_http: "raw HTTP",
  math_agent_langchain: "LangChain.js",
};
const COLUMNS = [
  ...["workflow", "sampled before", "after", "greedy before", "after", "unseen after", "largest log-prob difference"],
  ...["calls trained", "merged", "dropped, why", "tokens trained", "unique in the log", "each call alone", "seconds"],
];

/** Prefixes of token sequences: a node is a token after what came before it. */
class Prefixes {
  nodes = 0;
  leaves = 0;
  #root = new Map();

  add(ids) {
    let node = this.#root;
    for (const [i, id] of ids.entries()) {
      let next = node.get(id);
      if (next === undefined) {
        next = new Map();
        if (node.size > 0 || i === 0) this.leaves++; // else it lengthens a leaf
        node.set(id, next);
        this.nodes++;
      }
      node = next;
    }
  }
}

/**
 * Counts a run's trained tokens anew, from its token log alone: a step's tokens that have a token after them, each once
 * however many calls and episodes begin with it. The last token of a path predicts nothing, and is not computed.
 */
async function countTokens(run) {
  const counts = { unique: 0, eachCallAlone: 0, sampled: 0 };
  const log = await TokenLogReader.open(join(run, "tokens"));
  const { headers } = await log.list({ limit: Number.POSITIVE_INFINITY });
  const steps = new Map(headers.map(({ step }) => [step, new Prefixes()]));
  for (const { key, step } of headers) {
    for (const { verdict, promptIds, sampledIds } of (await log.episode(key)).calls) {
      if (!["trained", "merged"].includes(verdict.fate)) continue;
      steps.get(step).add([...promptIds, ...sampledIds]);
      counts.eachCallAlone += promptIds.length + sampledIds.length;
      counts.sampled += sampledIds.length;
    }
  }
  for (const { nodes, leaves } of steps.values()) counts.unique += nodes - leaves;
  return counts;
}

const percent = (rate) => `${(100 * rate).toFixed(1)} %`;
const whole = (count) => count.toLocaleString("en-US");

/** A row of the table; what misses its bar is bold. */
function row(label, summary, counts) {
  let missed = 0;
  const judged = (text, met) => {
    if (!met) missed++;
    return met ? text : `**${text}**`;
  };
  const rate = (key, meets) => judged(percent(summary[key]), meets(summary[key]));
  const reasons = Object.entries(summary.drop_reasons).map(([reason, count]) => `${reason}: ${whole(count)}`);
  const once = counts.unique === summary.tokens_trained && counts.sampled === summary.logprobs_compared;
  const cells = [
    label,
    rate("success_rate_before", (value) => value <= 0.35),
    rate("success_rate_after", (value) => value >= 0.85),
    rate("greedy_success_rate_before", (value) => value <= 0.35),
    rate("greedy_success_rate_after", (value) => value >= 0.85),
    percent(summary.unseen_success_rate_after),
    judged(String(summary.logprob_max_abs_diff), summary.logprob_max_abs_diff === 0),
    whole(summary.calls_trained),
    whole(summary.calls_merged),
    [whole(summary.calls_dropped), ...reasons].join(", "),
    judged(whole(summary.tokens_trained), once),
    whole(counts.unique),
    whole(counts.eachCallAlone),
    Math.round(summary.wall_seconds),
  ];
  return { missed, text: `| ${cells.join(" | ")} |` };
}

const { positionals, values } = parseArgs({ options: { keep: { type: "string" } }, allowPositionals: true });
const [seed = "42", ...files] = positionals;
const folder = values.keep ?? mkdtempSync(join(tmpdir(), "ajet-workflows-"));
let missed = 0;
console.log(`| ${COLUMNS.join(" | ")} |\n|${" --- |".repeat(COLUMNS.length)}`);
for (const file of files.length > 0 ? files : Object.keys(WORKFLOWS)) {
  const run = settings({
    experiment_dir: folder,
    experiment_name: file,
    "trainer_common.seed": Number(seed),
    "rollout.user_workflow": `tutorial.example_math_agent.${file}->ExampleMathLearn`,
  });
  const { code, stderr } = await ajet(["train", ...run]);
  if (code !== 0) {
    missed++;
    console.log(`${file}: exit code ${code}\n${stderr}`);
    continue;
  }
  const summary = JSON.parse(readFileSync(join(folder, file, "summary.json"), "utf8"));
  const result = row(WORKFLOWS[file] ?? file, summary, await countTokens(join(folder, file)));
  missed += result.missed;
  console.log(result.text);
}
if (values.keep === undefined) rmSync(folder, { recursive: true });
console.log(missed === 0 ? "every workflow meets every bar" : `${missed} bars missed`);
process.exit(missed === 0 ? 0 : 1);
