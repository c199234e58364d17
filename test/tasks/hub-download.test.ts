import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { FetchProgress } from "../../src/tasks/hub/dataset-files.js";
import { HubDataset } from "../../src/tasks/hub/hub-dataset.js";
import { hubSettings } from "../../src/tasks/hub/hub-settings.js";
import { HASTY, hubWithGsm8k, temporaryFolder } from "./hub-repo.js";
import { COMMIT, gitDigest, type HubServer, sha256 } from "./hub-server.js";

const TRAIN = "main/train-00000-of-00001.parquet";
const BIG = "main/big.parquet";

function content(hub: HubServer, path: string): Buffer {
  return hub.repos.get("openai/gsm8k")?.get(path)?.content as Buffer;
}

/** A file that takes many chunks. */
function addBig(hub: HubServer): Buffer {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 3));
  hub.repos.get("openai/gsm8k")?.set(BIG, { content: bytes, isLfs: true });
  return bytes;
}

describe("a data set of the hub", () => {
  it("lies in the cache as Python's huggingface_hub lays it out", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const dataset = await HubDataset.open("openai/gsm8k", { settings });
    const [readme, train] = await dataset.fetch(["README.md", TRAIN]);
    const folder = join(settings.cacheFolder, "datasets--openai--gsm8k");
    expect(train).toBe(join(folder, "snapshots", COMMIT, TRAIN));
    expect(lstatSync(train as string).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(folder, "refs/main"), "utf8")).toBe(COMMIT);
    expect(readFileSync(join(folder, "blobs", sha256(content(hub, TRAIN))))).toEqual(content(hub, TRAIN));
    expect(readFileSync(join(folder, "blobs", gitDigest(content(hub, "README.md"))))).toEqual(
      readFileSync(readme as string),
    );
  });

  it("lists more files than one page of the listing holds", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const { paths } = await HubDataset.open("openai/gsm8k", { settings });
    expect([...paths].sort()).toEqual([...(hub.repos.get("openai/gsm8k")?.keys() ?? [])].sort());
  });

  it("fetches only what is missing", async () => {
    const { hub, settings } = await hubWithGsm8k();
    await (await HubDataset.open("openai/gsm8k", { settings })).fetch([TRAIN]);
    hub.requests.length = 0;
    const dataset = await HubDataset.open("openai/gsm8k", { settings });
    await dataset.fetch([TRAIN]);
    expect(hub.contentRequests).toEqual([]);
    await dataset.fetch([TRAIN, "README.md"]);
    expect(hub.contentRequests.map(({ path }) => path)).toEqual([`/datasets/openai/gsm8k/resolve/${COMMIT}/README.md`]);
  });

  it("tells how far it is", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const total = addBig(hub).length;
    const seen: FetchProgress[] = [];
    const dataset = await HubDataset.open("openai/gsm8k", { settings, onProgress: (progress) => seen.push(progress) });
    await dataset.fetch([BIG]);
    expect(seen.length).toBeGreaterThan(3);
    expect(seen[0]).toEqual({ dataset: "openai/gsm8k", files: 1, received: 0, total });
    expect(seen.at(-1)).toEqual({ dataset: "openai/gsm8k", files: 1, received: total, total });
    expect(seen.every(({ received }, i) => i === 0 || received >= (seen[i - 1]?.received ?? 0))).toBe(true);
  });

  it("does not fetch twice what several ask for at once", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const bytes = addBig(hub);
    const fetchers = Array.from({ length: 6 }, async () => {
      const dataset = await HubDataset.open("openai/gsm8k", { settings });
      return (await dataset.fetch([BIG]))[0] as string;
    });
    for (const place of await Promise.all(fetchers)) expect(sha256(readFileSync(place))).toBe(sha256(bytes));
    expect(hub.contentRequests.filter(({ path }) => path.startsWith("/lfs/"))).toHaveLength(1);
  });

  it("takes over the lock of a process that died", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const lock = join(
      settings.cacheFolder,
      ".locks/datasets--openai--gsm8k",
      `${sha256(content(hub, TRAIN))}.ajet.lock`,
    );
    mkdirSync(dirname(lock), { recursive: true });
    writeFileSync(lock, "");
    const minuteAgo = Date.now() / 1000 - 60;
    utimesSync(lock, minuteAgo, minuteAgo);
    await (await HubDataset.open("openai/gsm8k", { settings })).fetch([TRAIN]);
    expect(existsSync(lock)).toBe(false);
  });

  it("writes plain files to a folder, and reads those that are there", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const folder = join(temporaryFolder(), "gsm8k");
    const open = () => HubDataset.open("openai/gsm8k", { settings, folder });
    await (await open()).fetch([TRAIN, "README.md"]);
    expect(readFileSync(join(folder, TRAIN))).toEqual(content(hub, TRAIN));
    expect(existsSync(settings.cacheFolder)).toBe(false);
    const changed = Buffer.from(content(hub, "README.md"));
    changed[0] = 0;
    writeFileSync(join(folder, "README.md"), changed); // the right length, not the right content
    hub.requests.length = 0;
    await (await open()).fetch([TRAIN, "README.md"]);
    expect(hub.contentRequests.map(({ path }) => path.split("/").at(-1))).toEqual(["README.md"]);
    expect(readFileSync(join(folder, "README.md"))).toEqual(content(hub, "README.md"));
  });
});

describe("a connection that breaks", () => {
  it("is gone on with in the same call", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const bytes = addBig(hub);
    hub.cut = { afterBytes: 1_000_000, times: 2, thenDown: false };
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    expect(sha256(readFileSync((await dataset.fetch([BIG]))[0] as string))).toBe(sha256(bytes));
    const starts = hub.contentRequests.filter(({ path }) => path.startsWith("/lfs/")).map(({ range }) => range);
    expect(starts).toHaveLength(3);
    expect(starts[0]).toBeUndefined();
    expect(starts.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ""))).toBe(true);
  });

  it("is gone on with in the next call, where it left off", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const bytes = content(hub, TRAIN);
    const half = bytes.length >> 1;
    hub.cut = { afterBytes: half, times: 1, thenDown: true };
    const patience = { ...HASTY, attempts: 1 };
    const first = await HubDataset.open("openai/gsm8k", { settings, patience });
    await expect(first.fetch([TRAIN])).rejects.toMatchObject({ code: "ERR_AJET_NETWORK" });
    expect(existsSync(join(settings.cacheFolder, "datasets--openai--gsm8k/blobs", sha256(bytes)))).toBe(false);
    hub.requests.length = 0;
    hub.isDown = false;
    const second = await HubDataset.open("openai/gsm8k", { settings, patience });
    expect(readFileSync((await second.fetch([TRAIN]))[0] as string)).toEqual(bytes);
    expect(hub.contentRequests.map(({ range }) => range)).toEqual([`bytes=${half}-`, `bytes=${half}-`]);
  });

  it("starts anew where the server knows no ranges", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.cut = { afterBytes: 1000, times: 1, thenDown: false };
    hub.ignoresRange = true;
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    expect(readFileSync((await dataset.fetch([TRAIN]))[0] as string)).toEqual(content(hub, TRAIN));
  });

  it("is an error where it never lasts, and says how far it came", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.truncate = 1;
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: { ...HASTY, attempts: 1 } });
    await expect(dataset.fetch(["README.md"])).rejects.toThrow(
      new RegExp(`README.md of openai/gsm8k ended after 1 of ${content(hub, "README.md").length} bytes`),
    );
  });

  it("is waited out where the hub is busy", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.busy = 1;
    await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    hub.busy = 9;
    await expect(HubDataset.open("openai/gsm8k", { settings, patience: HASTY })).rejects.toThrow(/answered 503/);
  });
});

describe("what comes is checked", () => {
  it("refuses content with another checksum, and keeps nothing of it", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.corrupts = true;
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    await expect(dataset.fetch([TRAIN])).rejects.toMatchObject({
      code: "ERR_AJET_FILE",
      message: expect.stringContaining(`expected ${sha256(content(hub, TRAIN))}`),
    });
    hub.corrupts = false;
    expect(readFileSync((await dataset.fetch([TRAIN]))[0] as string)).toEqual(content(hub, TRAIN));
  });

  it("throws away a beginning that is not the file's", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const bytes = content(hub, TRAIN);
    const blob = join(settings.cacheFolder, "datasets--openai--gsm8k/blobs", sha256(bytes));
    mkdirSync(dirname(blob), { recursive: true });
    writeFileSync(`${blob}.ajet.incomplete`, "x".repeat(100));
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    expect(readFileSync((await dataset.fetch([TRAIN]))[0] as string)).toEqual(bytes);
  });

  it("refuses paths that leave the cache", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.repos.get("openai/gsm8k")?.set("../../evil.jsonl", { content: Buffer.from("{}"), isLfs: false });
    await expect(HubDataset.open("openai/gsm8k", { settings, patience: HASTY })).rejects.toThrow(/evil/);
  });

  it("says that the disk is full", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const blob = join(settings.cacheFolder, "datasets--openai--gsm8k/blobs", sha256(content(hub, TRAIN)));
    mkdirSync(dirname(blob), { recursive: true });
    symlinkSync("/dev/full", `${blob}.ajet.incomplete`);
    const dataset = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    await expect(dataset.fetch([TRAIN])).rejects.toThrow(/ENOSPC \(the disk is full\)/);
  });
});

describe("who may read what", () => {
  it("says that there is no such data set", async () => {
    const { settings } = await hubWithGsm8k();
    const open = (token?: string) =>
      HubDataset.open("open/gsm8k", { settings: { ...settings, ...(token ? { token } : {}) } });
    await expect(open()).rejects.toMatchObject({
      code: "ERR_AJET_CONFIG",
      message: expect.stringContaining("no data set open/gsm8k"),
    });
    await expect(open("t")).rejects.toMatchObject({
      code: "ERR_AJET_CONFIG",
      message: expect.stringContaining("check the name"),
    });
  });

  it("says that a revision does not exist", async () => {
    const { settings } = await hubWithGsm8k();
    await expect(HubDataset.open("openai/gsm8k", { settings, revision: "v2" })).rejects.toThrow(/no such revision/);
  });

  it("asks for HF_TOKEN where a data set is gated, and sends it", async () => {
    const { hub, settings } = await hubWithGsm8k();
    hub.gated.set("openai/gsm8k", "hf_right");
    const open = (token?: string) =>
      HubDataset.open("openai/gsm8k", { settings: { ...settings, ...(token ? { token } : {}) } });
    await expect(open()).rejects.toThrow(/gated: ask for access at .*\/datasets\/openai\/gsm8k, and set HF_TOKEN/);
    await expect(open("hf_wrong")).rejects.toThrow(/account of HF_TOKEN may not read it/);
    await (await open("hf_right")).fetch(["README.md"]);
    expect(hub.contentRequests.at(-1)?.authorization).toBe("Bearer hf_right");
  });
});

describe("without the network", () => {
  it("reads the cache", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const [place] = await (await HubDataset.open("openai/gsm8k", { settings })).fetch([TRAIN]);
    hub.requests.length = 0;
    const offline = await HubDataset.open("openai/gsm8k", { settings: { ...settings, offline: true } });
    expect(offline.paths).toEqual([TRAIN]);
    expect(await offline.fetch([TRAIN])).toEqual([place]);
    expect(hub.requests).toEqual([]);
    await hub.stop();
    const unreachable = await HubDataset.open("openai/gsm8k", { settings, patience: HASTY });
    expect(await unreachable.fetch([TRAIN])).toEqual([place]);
  });

  it("says what is not in the cache, and why it was not fetched", async () => {
    const { hub, settings } = await hubWithGsm8k();
    const offline = { settings: { ...settings, offline: true } };
    await expect(HubDataset.open("openai/gsm8k", offline)).rejects.toThrow(/not in the cache .*HF_HUB_OFFLINE/);
    await hub.stop();
    await expect(HubDataset.open("openai/gsm8k", { settings, patience: HASTY })).rejects.toThrow(/ECONNREFUSED/);
  });
});

describe("hubSettings", () => {
  it("reads the variables that Python's huggingface_hub reads", () => {
    const home = temporaryFolder();
    writeFileSync(join(home, "token"), "hf_stored\n");
    expect(hubSettings({ HF_HOME: home, HF_ENDPOINT: "http://hub.local/" })).toEqual({
      endpoint: "http://hub.local",
      token: "hf_stored",
      cacheFolder: join(home, "hub"),
      offline: false,
    });
    expect(hubSettings({ HF_HOME: home, HF_HUB_CACHE: "/c", HF_TOKEN: "hf_own", HF_HUB_OFFLINE: "1" })).toEqual({
      endpoint: "https://huggingface.co",
      token: "hf_own",
      cacheFolder: "/c",
      offline: true,
    });
    expect(hubSettings({ HOME: "/h", XDG_CACHE_HOME: "/x" }).cacheFolder).toBe("/x/huggingface/hub");
  });
});
