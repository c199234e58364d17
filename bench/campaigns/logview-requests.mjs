/** Random requests to the viewer: mixed routes, parameters, traversals, broken encodings, raw bytes. */
import { connect } from "node:net";
import { random } from "./generated-steps.mjs";

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
export function exchange(port, bytes) {
  return new Promise((resolve) => {
    const parts = [];
    const socket = connect(port, "127.0.0.1");
    const isRequest = /^[A-Z]+ \//.test(bytes.toString("latin1"));
    socket.setTimeout(isRequest ? 30_000 : 300, () => socket.end());
    socket.on("data", (part) => parts.push(part));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(parts).toString("latin1")));
    socket.write(bytes);
    if (!isRequest) socket.end();
  });
}
