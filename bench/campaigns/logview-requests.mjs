/**
 * Sends random requests to the viewer: mixed routes, parameters, traversals, broken encodings, raw bytes. What lies outside
 * the folder must never come back, and the viewer must answer afterwards as before.
 *
 *   node bench/campaigns/logview-requests.mjs [requests, default 10000] [seed, default 1]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generatedStep, random, tokenBytes } from "./generated-steps.mjs";

/** Stands in files outside the folder that is shown. */
export const SECRET = "outside-7d1f0c";

const ROUTES = [
  "",
  "api/runs",
  "api/metrics",
  "api/settings",
  "api/steps",
  "api/episodes",
  "api/episode",
  "api/tree",
  "app.js",
  "app.css",
  "none",
];
const NAMES = [
  "run",
  "key",
  "step",
  "group",
  "from",
  "generation",
  "offset",
  "limit",
  "sortBy",
  "descending",
  "marks",
  "search",
  "good",
  "token",
  "__proto__",
];
const VALUES = [
  "plain",
  "run",
  ".",
  "..",
  "../outside/secret",
  "..%2f..%2fetc%2fpasswd",
  "plain/tokens",
  "/etc/passwd",
  "\0",
  "1.0",
  "1.1",
  "3.7",
  "-1",
  "0",
  "1",
  "1e308",
  "NaN",
  "Infinity",
  "99999999999999999999",
  "true",
  "step",
  "constructor",
  "no_print,early_answer",
  "%",
  "%zz",
  "%ff%fe",
  "😀",
  "a".repeat(3000),
  "[]",
  "{}",
  "",
];
const METHODS = ["GET", "GET", "GET", "GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE", "BREW"];

/** @returns How many were sent, which answers held {@link SECRET}, and how often each status came. */
export async function sendRandomRequests(port, token, count, seed = 1) {
  const next = random(seed);
  const outcome = { sent: 0, leaks: [], statuses: {} };
  for (let i = 0; i < count; i++) {
    const bytes = randomRequest(next, port, token);
    const answer = await exchange(port, bytes);
    outcome.sent++;
    if (answer.includes(SECRET)) outcome.leaks.push(bytes.toString("latin1"));
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "0";
    outcome.statuses[status] = (outcome.statuses[status] ?? 0) + 1;
  }
  return outcome;
}

function randomRequest(next, port, token) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  if (next() < 0.03)
    return Buffer.from(Array.from({ length: 1 + Math.floor(next() * 200) }, () => Math.floor(next() * 256)));
  const encode = next() < 0.7 ? encodeURIComponent : (text) => text.replace(/[\s\0]/g, "");
  const parameters = Array.from({ length: Math.floor(next() * 6) }, () => `${pick(NAMES)}=${encode(pick(VALUES))}`);
  const traversal = next() < 0.1 ? `${pick(["../", "..%2f", "%2e%2e/", "//", "./"])}${encode(pick(VALUES))}` : "";
  const path = `/${pick(ROUTES)}${traversal}${parameters.length > 0 ? `?${parameters.join("&")}` : ""}`;
  const host = next() < 0.95 ? `127.0.0.1:${port}` : pick(["evil.example", "", "127.0.0.1.evil.example"]);
  const authorization = next() < 0.9 ? `Bearer ${token}` : pick(["", "Bearer", "Basic eDp5", `bearer ${token}x`]);
  const lines = [
    `${pick(METHODS)} ${path} HTTP/1.1`,
    `Host: ${host}`,
    `Authorization: ${authorization}`,
    "Connection: close",
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}

/** What comes back until the other side closes; what is no request may get nothing. */
function exchange(port, bytes) {
  return new Promise((resolve) => {
    const parts = [];
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(300, () => socket.end());
    socket.on("data", (part) => parts.push(part));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(parts).toString("latin1")));
    socket.write(bytes);
    if (!/^[A-Z]+ \//.test(bytes.toString("latin1"))) socket.end();
  });
}

async function main() {
  const [count = "10000", seed = "1"] = process.argv.slice(2);
  const { startLogview } = await import("../../dist/logview/server.js");
  const { TokenLogWriter } = await import("../../dist/report/token-log/writer.js");
  const folder = mkdtempSync(join(tmpdir(), "ajet-requests-"));
  for (const [name, text] of [
    ["experiments/plain", "plain"],
    ["outside/secret", SECRET],
  ]) {
    const run = join(folder, name);
    mkdirSync(run, { recursive: true });
    writeFileSync(join(run, "run.json"), JSON.stringify({ kind: "train", yaml: text }));
    writeFileSync(join(run, "config.yaml"), `ajet: {name: ${text}}\n`);
    writeFileSync(join(run, "metrics.jsonl"), `{"step":1,"${text}":1}\n`);
    const log = await TokenLogWriter.open(join(run, "tokens"), { lastStep: 0, tokenBytes });
    for (let step = 1; step <= 3; step++) log.append(step, generatedStep(step));
    log.close();
  }
  const logview = await startLogview({ folder: join(folder, "experiments") });
  const token = new URL(logview.url).searchParams.get("token");
  const started = performance.now();
  const { sent, leaks, statuses } = await sendRandomRequests(logview.port, token, Number(count), Number(seed));
  const alive = (await fetch(`http://127.0.0.1:${logview.port}/api/runs?token=${token}`)).status;
  await logview.stop();
  rmSync(folder, { recursive: true });
  console.log({ sent, statuses, leaks: leaks.length, alive, seconds: (performance.now() - started) / 1000 });
  for (const leak of leaks.slice(0, 5)) console.error(leak);
  const failed = leaks.length > 0 || alive !== 200 || Object.keys(statuses).some((status) => Number(status) >= 500);
  process.exitCode = failed ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
