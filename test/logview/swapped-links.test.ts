import { readdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { beforeEach, describe, expect, it } from "vitest";
import { SECRET } from "../../bench/campaigns/logview-requests.mjs";
import { ConfinedFolder } from "../../src/logview/confined-folder.js";
import { readAllRows } from "../../src/logview/metrics-tail.js";
import { RunCatalog } from "../../src/logview/run-catalog.js";
import { readSettings } from "../../src/logview/settings.js";
import { TokenLogs } from "../../src/logview/token-logs.js";
import type { TokenLogReading } from "../../src/report/token-log/types.js";
import { temporaryFolder } from "../cli/ajet.js";
import { makeRun, ownId, withReply } from "./run-fixture.js";

const INSIDE = "inside-52c1a9";
const RUN = { id: "run", path: ["run"] };
/** What of a run a link may take the place of. */
const PLACES = ["run", "run/tokens", "run/tokens/SEGMENT", "run/metrics.jsonl", "run/config.yaml"];
const MS = 700;

let shown = "";
let outside = "";
let segment = "";

/** A run each of whose files says the text. */
async function makeRunThatSays(experiments: string, text: string): Promise<void> {
  const run = await makeRun(experiments, "run", {
    settings: { key: text },
    texts: [text],
    change: (groups) => withReply(groups, [ownId(0)], text).map((group) => ({ ...group, taskId: text })),
  });
  segment = readdirSync(run.tokensFolder)[0] as string;
}

beforeEach(async () => {
  const folder = temporaryFolder(true);
  shown = join(folder, "shown");
  outside = join(folder, "outside");
  await makeRunThatSays(shown, INSIDE);
  await makeRunThatSays(outside, SECRET);
});

/** Puts a link to the same place outside where a file or folder was. */
function swap(place: string): void {
  renameSync(join(shown, place), join(shown, `${place}.own`));
  symlinkSync(join(outside, place), join(shown, place));
}

/** Puts links there and takes them away, thousands of times, in a thread of its own. */
class Swapper {
  readonly #worker: Worker;

  constructor(place: string) {
    symlinkSync(join(outside, place), join(shown, `${place}.link`));
    const script = `
      const { renameSync } = require("node:fs");
      const { parentPort, workerData: path } = require("node:worker_threads");
      let swaps = 0;
      let goesOn = true;
      parentPort.once("message", () => { goesOn = false; });
      const wait = () => { for (const end = performance.now() + Math.random() / 2; performance.now() < end;); };
      const swap = () => {
        renameSync(path, path + ".own");
        renameSync(path + ".link", path);
        wait();
        renameSync(path, path + ".link");
        renameSync(path + ".own", path);
        wait();
        swaps++;
        if (goesOn) setImmediate(swap);
        else parentPort.postMessage(swaps);
      };
      swap();`;
    this.#worker = new Worker(script, { eval: true, workerData: join(shown, place) });
  }

  /** How often it swapped. */
  end(): Promise<number> {
    const swaps = new Promise<number>((resolve, reject) => {
      this.#worker.once("message", resolve).once("error", reject);
    });
    this.#worker.postMessage("end");
    return swaps;
  }
}

/** All that the pages get of a run, by a viewer that has just been started; nothing where it is refused. */
async function read(): Promise<string> {
  const catalog = new RunCatalog(new ConfinedFolder(shown));
  await using logs = new TokenLogs(catalog.folder);
  const tokens = logs.use(RUN, async (log) => [await log.list(), (await log.episode("1.0")).calls[0]?.messages]);
  const rows = readAllRows(catalog.folder, [...RUN.path, "metrics.jsonl"]);
  const { folder } = catalog;
  return JSON.stringify([catalog.list(), rows, readSettings(folder, RUN.path), await tokens.catch(() => [])]);
}

describe("a link that is swapped in while a run is read", () => {
  it.each(PLACES)("leads nowhere, whenever that is: %s", async (name) => {
    const swapper = new Swapper(name.replace("SEGMENT", segment));
    const found = { inside: 0, outside: 0 };
    for (const end = performance.now() + MS; performance.now() < end || found.inside === 0; ) {
      const text = await read();
      found.inside += Number(text.includes(INSIDE));
      found.outside += Number(text.includes(SECRET));
    }
    expect(await swapper.end()).toBeGreaterThan(10);
    expect(found.outside).toBe(0);
  });

  it.each(PLACES.slice(0, 3))("leads nowhere where the log had been opened before: %s", async (name) => {
    await using logs = new TokenLogs(new ConfinedFolder(shown));
    const texts = async (log: TokenLogReading) => (await log.list()).headers.map(({ taskId }) => taskId);
    await logs.use(RUN, async (log) => {
      expect(await texts(log)).toContain(INSIDE);
      swap(name.replace("SEGMENT", segment));
      await log.refresh().catch(() => {});
      expect(await texts(log)).not.toContain(SECRET);
      await expect(log.episode("1.0")).rejects.toThrow(/folder that is shown|ELOOP|has no episode/);
    });
  });
});

describe("a confined folder", () => {
  let confined: ConfinedFolder;
  beforeEach(() => {
    confined = new ConfinedFolder(shown);
    symlinkSync(join(shown, "run"), join(shown, "linked"));
  });

  it("opens a file at its own path, and none behind a link", async () => {
    await using file = await confined.open(["run", "config.yaml"]);
    expect(await file.readFile("utf8")).toContain(INSIDE);
    for (const path of ["linked/config.yaml", "run", "../outside/run/config.yaml"]) {
      await expect(confined.open(path.split("/"))).rejects.toThrow(/is no regular file of the folder that is shown/);
    }
    await expect(confined.open(["run/config.yaml"])).rejects.toThrow(/is no regular file/);
    await expect(confined.open(["run", "none"])).rejects.toThrow(/ENOENT/);
  });

  it("lists folders at their own path, and none behind a link", () => {
    expect(confined.list([])?.map(({ name }) => name)).toEqual(["run"]);
    for (const path of ["linked", "run/config.yaml", "none", "..", ".", ""]) {
      expect(confined.list(path.split("/"))).toBeUndefined();
    }
  });
});
