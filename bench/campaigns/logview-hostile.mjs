/**
 * What a hostile folder or a hostile client can do to the viewer: names that lead out, symbolic links, logs cut at every byte of
 * their end, logs of other versions, logs that say something wrong under right checksums, random requests. Nothing outside the
 * folder may come back, nothing may be answered with a 5xx status, and the viewer must answer afterwards as before.
 *
 *   node bench/campaigns/logview-hostile.mjs [requests, default 10000] [seed, default 1]
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changedValue, withChangedStep } from "./changed-steps.mjs";
import { generatedStep, random, tokenBytes } from "./generated-steps.mjs";
import { exchange, SECRET, sendRandomRequests } from "./logview-requests.mjs";

const { startLogview } = await import("../../dist/logview/server.js");
const { ConfinedFolder } = await import("../../dist/logview/confined-folder.js");
const { TokenLogs } = await import("../../dist/logview/token-logs.js");
const { TokenLogReader } = await import("../../dist/report/token-log/reader.js");
const { TokenLogWriter } = await import("../../dist/report/token-log/writer.js");
const { FileError } = await import("../../dist/native/errors.js");
const format = {
  ...(await import("../../dist/report/token-log/frames.js")),
  ...(await import("../../dist/report/token-log/record.js")),
};

const [requests = "10000", seed = "1"] = process.argv.slice(2);
const next = random(Number(seed));
const root = mkdtempSync(join(tmpdir(), "ajet-hostile-"));
const outside = join(root, "outside");
const SMALL = { groups: 1, episodes: 2, turns: 2, prompt: 6, sampled: 4, observed: 2 };
const CUT_BYTES = 4096;
const BATCHES = 10;
const LOGS_OF_BATCH = 50;
const FILES = ["run.json", "config.yaml", "metrics.jsonl", "validation.jsonl", "summary.json"];
const failures = [];

/** A run each of whose files says the text. */
async function makeRun(folder, text, steps = 3, shape = SMALL) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "run.json"), JSON.stringify({ kind: "train", yaml: text }));
  writeFileSync(join(folder, "config.yaml"), `ajet: {name: ${text}}\n`);
  writeFileSync(join(folder, "summary.json"), JSON.stringify({ name: text }));
  for (const name of ["metrics.jsonl", "validation.jsonl"])
    writeFileSync(join(folder, name), `{"step":1,"${text}":1}\n`);
  const log = await TokenLogWriter.open(join(folder, "tokens"), { lastStep: 0, tokenBytes });
  for (let step = 1; step <= steps; step++) {
    log.append(
      step,
      generatedStep(step, shape).map((group) => ({ ...group, taskId: text })),
    );
  }
  log.close();
  return join(folder, "tokens", readdirSync(join(folder, "tokens"))[0]);
}

/** Serves a folder while `ask` runs, which gets the body and status of any path, sent as it is. */
async function withViewer(folder, ask) {
  const logview = await startLogview({ folder });
  const token = new URL(logview.url).searchParams.get("token");
  const get = async (path) => {
    const lines = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${logview.port}`, `Authorization: Bearer ${token}`];
    const answer = await exchange(
      logview.port,
      Buffer.from(`${lines.join("\r\n")}\r\nConnection: close\r\n\r\n`, "latin1"),
    );
    const status = Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
    if (answer.includes(SECRET)) failures.push(`${path} gives what lies outside`);
    if (status >= 500) failures.push(`${path}: ${status} ${answer.slice(answer.indexOf("\r\n\r\n") + 4)}`);
    return { status, body: answer };
  };
  try {
    return await ask(get, logview.port, token);
  } finally {
    if ((await get("/api/runs")).status !== 200) failures.push(`${folder}: the viewer does not answer any more`);
    await logview.stop();
  }
}

const routesOf = (run) =>
  ["metrics?", "settings?", "steps?", "episodes?", "episode?key=1.0&", "tree?step=1&group=0&"].map(
    (route) => `/api/${route}run=${run}`,
  );

async function names() {
  const plain = join(root, "names");
  await makeRun(join(plain, "plain"), "plain");
  const targets = [
    "../outside/secret",
    "plain/../../outside/secret",
    `${outside}/secret`,
    "..",
    "/",
    "plain/tokens",
    ".\\plain",
  ];
  const tails = ["", "/config.yaml", "/", "%00", "%00.json", "\0", "/.", ";x"];
  const twice = (text) => encodeURIComponent(encodeURIComponent(text));
  const overlong = (text) => text.replaceAll(".", "%c0%ae").replaceAll("/", "%c0%af");
  const spellings = [(text) => text, encodeURIComponent, twice, overlong, (text) => text.replaceAll("/", "%5c")];
  const spelt = targets.flatMap((target) => tails.flatMap((tail) => spellings.map((spell) => spell(target + tail))));
  let sent = 0;
  await withViewer(plain, async (get) => {
    for (const name of spelt) {
      for (const path of [...routesOf(name), `/${name}`, `/api/${name}`, `/api/episode?run=plain&key=${name}`]) {
        const { status } = await get(path);
        sent++;
        if (status === 200) failures.push(`${path} is answered`);
      }
    }
  });
  return `${spelt.length} spellings of ${targets.length} places, ${sent} requests`;
}

async function links() {
  const linked = join(root, "linked");
  const places = ["", ...FILES, "tokens", "tokens/SEGMENT"];
  for (const [i, place] of places.entries()) {
    const run = join(linked, `run-${i}`);
    const segment = await makeRun(run, "plain");
    const [path, target] = [run, join(outside, "secret")].map((from) =>
      join(from, place.replace("SEGMENT", segment.slice(segment.lastIndexOf("/") + 1))),
    );
    renameSync(path, join(root, `moved-${i}`));
    symlinkSync(target, path);
  }
  await withViewer(linked, async (get) => {
    await get("/api/runs");
    for (const i of places.keys()) for (const path of routesOf(`run-${i}`)) await get(path);
  });
  return `${places.length} places of a run`;
}

/** What the viewer reads of a log, without its HTTP. @returns Its steps; undefined where it is refused. */
async function readLog(folder, run) {
  const logs = new TokenLogs(new ConfinedFolder(folder));
  try {
    return await logs.use({ id: run, path: [run] }, async (log) => {
      const steps = (await log.steps()).map(({ step }) => step);
      for (const { key } of (await log.list({ step: steps.at(-1) ?? 0 })).headers) await log.episode(key);
      return steps;
    });
  } catch (error) {
    if (!(error instanceof FileError)) failures.push(`${run}: ${error.stack}`);
    return undefined;
  } finally {
    await logs[Symbol.asyncDispose]();
  }
}

async function cuts() {
  const folder = join(root, "cut");
  const file = await makeRun(join(folder, "run"), "plain", 6, { ...SMALL, sampled: 40 });
  const whole = readFileSync(file);
  const ends = [format.FILE_HEADER_BYTES];
  const log = await TokenLogReader.open(join(folder, "run/tokens"));
  for (const { bytes } of await log.steps()) ends.push(ends.at(-1) + bytes);
  const least = Math.max(whole.length - CUT_BYTES, 0);
  for (let length = whole.length; length >= least; length--) {
    writeFileSync(file, whole.subarray(0, length));
    const expected = ends.slice(1).filter((end) => end <= length).length;
    const found = (await readLog(folder, "run"))?.length;
    if (found !== expected) failures.push(`cut at ${length} of ${whole.length}: ${found} steps instead of ${expected}`);
  }
  return `${whole.length - least + 1} lengths of a log of ${whole.length} bytes and ${ends.length - 1} steps`;
}

async function versions() {
  const folder = join(root, "versions");
  const file = await makeRun(join(folder, "run"), "plain");
  const whole = readFileSync(file);
  const headers = [0, 1, 99, 2 ** 32 - 1].map((version) => format.fileHeader(version));
  headers.push(Buffer.from("another file's 16"), Buffer.alloc(16), whole.subarray(16, 32));
  for (const header of headers) {
    writeFileSync(file, whole);
    const bytes = Buffer.concat([header.subarray(0, 16), whole.subarray(16)]);
    writeFileSync(file, bytes);
    const found = await readLog(folder, "run");
    if (found !== undefined) failures.push(`a log that begins with ${header.toString("hex")} is read`);
    await withViewer(folder, async (get) => {
      for (const path of routesOf("run").slice(2)) {
        const { status, body } = await get(path);
        if (status !== 404 || !/is (no|a) token log/.test(body)) failures.push(`${path}: ${status} ${body}`);
      }
    });
  }
  return `${headers.length} beginnings`;
}

async function changedLogs() {
  const model = join(root, "model");
  const whole = readFileSync(await makeRun(model, "plain", 1));
  const statuses = {};
  for (let batch = 0; batch < BATCHES; batch++) {
    const folder = join(root, `changed-${batch}`);
    const runs = Array.from({ length: LOGS_OF_BATCH }, (_, i) => `run-${i}`);
    for (const run of runs) writeChanged(model, join(folder, run), whole);
    await withViewer(folder, async (get) => {
      for (const path of runs.flatMap((run) => routesOf(run).slice(2))) {
        const { status } = await get(path);
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
    });
  }
  return `${BATCHES * LOGS_OF_BATCH} logs, statuses ${JSON.stringify(statuses)}`;
}

/** A copy of a run whose log has one thing changed. */
function writeChanged(model, run, segment) {
  cpSync(model, run, { recursive: true });
  const target = Math.floor(next() * 4); // the index, the group or one of its episodes
  const change = {
    index: (json) => (target === 3 ? changedValue(json, next) : json),
    record: (json, i) => (target === i ? changedValue(json, next) : json),
  };
  writeFileSync(join(run, "tokens", readdirSync(join(run, "tokens"))[0]), withChangedStep(segment, format, change));
}

async function randomRequests() {
  const folder = join(root, "requests");
  await makeRun(join(folder, "plain"), "plain");
  return withViewer(folder, async (_, port, token) => {
    const { sent, leaks, statuses } = await sendRandomRequests(port, token, Number(requests), Number(seed));
    for (const leak of leaks) failures.push(`a leak: ${leak}`);
    if (Object.keys(statuses).some((status) => Number(status) >= 500)) failures.push("random requests: a 5xx status");
    return `${sent} requests, statuses ${JSON.stringify(statuses)}`;
  });
}

await makeRun(join(outside, "secret"), SECRET);
console.log("| what | tried | failures | s |\n| --- | --- | --- | --- |");
for (const [what, attack] of Object.entries({ names, links, cuts, versions, changedLogs, randomRequests })) {
  const [before, started] = [failures.length, performance.now()];
  const tried = await attack();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(
    `| ${what.replace(/[A-Z]/g, " $&").toLowerCase()} | ${tried} | ${failures.length - before} | ${seconds} |`,
  );
}
rmSync(root, { recursive: true });
for (const failure of failures.slice(0, 10)) console.error(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
