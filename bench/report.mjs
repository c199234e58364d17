/** Medians, ratios and Markdown tables. */
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

export function geometricMean(values) {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** "12.3 (11.9–14.0)": median, smallest and largest. */
export function spread(values, digits = 3) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${number(median(values), digits)} (${number(low, digits)}–${number(high, digits)})`;
}

/** With so many significant digits, without an exponent. */
export function number(value, digits = 3) {
  return Number(value.toPrecision(digits)).toLocaleString("en-US", { maximumSignificantDigits: Math.max(digits, 1) });
}

/** Where the ratio is that of the times: above 1, ajet is faster. */
export function ratio(value, target) {
  const met = target === undefined ? "" : value >= target ? `, target ${target}: met` : `, target ${target}: MISSED`;
  return `**${value.toFixed(2)}×**${met}`;
}

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** What a record needs to be repeated. */
export function heading(title, command, descriptions) {
  const git = (...args) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const dirty = git("status", "--porcelain", "--", "native", "src") === "" ? "" : " with changes";
  const facts = [
    `- ${new Date().toISOString().slice(0, 10)}, commit ${git("rev-parse", "--short", "HEAD")}${dirty}`,
    `- ${cpus()[0].model.trim()}, ${cpus().length} cores; ${descriptions.join("; ")}`,
    `- \`${command}\``,
  ];
  return `## ${title}\n\n${facts.join("\n")}\n`;
}
