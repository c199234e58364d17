import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileError, NetworkError } from "../../native/errors.js";
import { fileError } from "../../native/file-error.js";
import { reasonOf } from "../../net/fetch-failure.js";
import type { HubApi, HubFile } from "./hub-api.js";

/** What to fetch, and where to. */
export interface FetchJob {
  repo: string;
  commit: string;
  file: HubFile;
  target: string;
  /** Where the bytes gather; what an earlier run left there is gone on with. */
  partial: string;
  /** Bytes that are there now. */
  onBytes?: (received: number) => void;
  signal?: AbortSignal;
}

/**
 * Fetches a file to its end, over several connections where they break, and checks it before it gets its name.
 * @throws NetworkError when the hub stops answering; the next call goes on with what has come.
 * @throws FileError when the disk refuses, or what comes is not the file that was listed.
 */
export async function fetchFile(api: HubApi, job: FetchJob): Promise<void> {
  const { file, partial, target } = job;
  await mkdir(dirname(partial), { recursive: true }).catch((error: unknown) => refuse(dirname(partial), error));
  for (let attempt = 1, wrong = 0; ; ) {
    const before = await sizeOf(partial);
    const digest = await receive(api, job).catch(async (error: unknown) => {
      if (!(error instanceof NetworkError)) throw error;
      const isProgress = (await sizeOf(partial)) > before;
      attempt = isProgress ? 1 : attempt + 1;
      if (attempt > api.patience.attempts) throw error;
      await sleep(api.patience.pauseMs * 2 ** (attempt - 1), undefined, job.signal ? { signal: job.signal } : {});
      return undefined;
    });
    if (digest === undefined) continue;
    if (digest === file.etag) break;
    await rm(partial, { force: true });
    if (++wrong > 1)
      throw new FileError(`${file.path} of ${job.repo} came with the checksum ${digest}, expected ${file.etag}`);
  }
  await mkdir(dirname(target), { recursive: true });
  await rename(partial, target).catch((error: unknown) => refuse(target, error));
}

/** The digest that the hub gives a file's content. */
export async function digestOf(path: string, isLfs: boolean, size: number): Promise<string> {
  const hash = startDigest(isLfs, size);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** One connection: goes on where `partial` ends. Returns the digest of the whole file. */
async function receive(api: HubApi, { repo, commit, file, partial, onBytes, signal }: FetchJob): Promise<string> {
  const handle = await open(partial, "a+").catch((error: unknown) => refuse(partial, error));
  try {
    let offset = (await handle.stat()).size;
    if (offset > file.size) {
      await handle.truncate(0);
      offset = 0;
    }
    let hash = startDigest(file.isLfs, file.size);
    if (offset > 0) for await (const chunk of createReadStream(partial)) hash.update(chunk as Buffer);
    onBytes?.(offset);
    if (offset === file.size) return hash.digest("hex");

    const idle = new IdleLimit(api.patience.idleMs);
    try {
      const signals = signal ? [signal, idle.signal] : [idle.signal];
      const response = await api.open(repo, commit, file.path, offset, AbortSignal.any(signals));
      if (response.status === 416) {
        await response.body?.cancel();
        throw new FileError(`${file.path} of ${repo} is shorter than the ${file.size} listed bytes`);
      }
      if (offset > 0 && response.status !== 206) {
        // The server cannot go on from there, and sends the whole file.
        await handle.truncate(0);
        offset = 0;
        hash = startDigest(file.isLfs, file.size);
      }
      for await (const chunk of chunksOf(response, file, signal)) {
        idle.restart();
        offset += chunk.length;
        if (offset > file.size)
          throw new FileError(`${file.path} of ${repo} is longer than the ${file.size} listed bytes`);
        hash.update(chunk);
        await writeAll(handle, chunk, partial);
        onBytes?.(offset);
      }
    } finally {
      idle.stop();
    }
    if (offset < file.size)
      throw new NetworkError(`${file.path} of ${repo} ended after ${offset} of ${file.size} bytes`);
    return hash.digest("hex");
  } finally {
    await handle.close();
  }
}

async function* chunksOf(response: Response, file: HubFile, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    if (response.body) yield* response.body;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof FileError) throw error;
    throw new NetworkError(`The connection broke while ${file.path} came: ${reasonOf(error)}`, { cause: error });
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, path: string): Promise<void> {
  await handle.appendFile(chunk).catch((error: unknown) => refuse(path, error));
}

function startDigest(isLfs: boolean, size: number): Hash {
  // Git hashes a blob with a header before it.
  return isLfs ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function refuse(path: string, error: unknown): never {
  throw fileError(`Cannot write ${path}`, error);
}

/** Ends a connection that brings nothing for a while. */
class IdleLimit {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly limitMs: number) {
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    this.stop();
    this.#timer = setTimeout(
      () => this.#controller.abort(new Error(`nothing came for ${this.limitMs / 1000} s`)),
      this.limitMs,
    );
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
