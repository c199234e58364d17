import { setTimeout as sleep } from "node:timers/promises";
import { AbortError, NetworkError } from "../../native/errors.js";
import { reasonOf } from "../../net/fetch-failure.js";
import { hubRefusal } from "./hub-refusal.js";
import type { HubSettings } from "./hub-settings.js";

/** A file of a repository, as the hub lists it. */
export interface HubFile {
  /** Below the repository's root, with slashes. */
  path: string;
  size: number;
  /** Its name among the cache's blobs: SHA-256 where it is kept in LFS, else the SHA-1 that git gives it. */
  etag: string;
  isLfs: boolean;
}

/** How patient the client is. */
export interface Patience {
  /** Tries of a request, and of a file that stops coming. */
  attempts: number;
  /** Before the second try; doubles. */
  pauseMs: number;
  /** Without a byte for so long, a connection is given up. */
  idleMs: number;
}

export const PATIENCE: Patience = { attempts: 5, pauseMs: 500, idleMs: 30_000 };

/** The part of the hub's HTTP API that reads data sets. */
export class HubApi {
  constructor(
    readonly settings: HubSettings,
    readonly patience: Patience = PATIENCE,
  ) {}

  /** The commit that a branch, tag or commit names. @throws ConfigError for a repository that cannot be read. */
  async commit(repo: string, revision: string): Promise<string> {
    const url = `${this.settings.endpoint}/api/datasets/${repo}/revision/${encodeURIComponent(revision)}`;
    const { sha } = (await (await this.get(url, repo)).json()) as { sha?: unknown };
    if (typeof sha === "string" && /^[0-9a-f]{40}$/.test(sha)) return sha;
    throw new NetworkError(`Expected the commit of ${repo} from ${url} but received ${JSON.stringify(sha)}`);
  }

  /** All files of a commit. */
  async files(repo: string, commit: string): Promise<HubFile[]> {
    const files: HubFile[] = [];
    let url: string | undefined = `${this.settings.endpoint}/api/datasets/${repo}/tree/${commit}?recursive=true`;
    while (url !== undefined) {
      const page: Response = await this.get(url, repo);
      for (const entry of (await page.json()) as TreeEntry[])
        if (entry.type === "file") files.push(fileOf(entry, repo));
      url = /<([^>]+)>;\s*rel="next"/.exec(page.headers.get("link") ?? "")?.[1];
    }
    return files;
  }

  /** A file's bytes from an offset on. The caller checks the status: 206 from there, 200 from the start. */
  open(repo: string, commit: string, path: string, from: number, signal: AbortSignal): Promise<Response> {
    const name = path.split("/").map(encodeURIComponent).join("/");
    const url = `${this.settings.endpoint}/datasets/${repo}/resolve/${commit}/${name}`;
    return this.request(url, repo, signal, from > 0 ? { range: `bytes=${from}-` } : {});
  }

  /** A request that is tried again where the hub is not reached, is busy or fails. */
  private async get(url: string, repo: string): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= this.patience.attempts;
      const signal = AbortSignal.timeout(this.patience.idleMs);
      try {
        return await this.request(url, repo, signal);
      } catch (error) {
        if (isLast || !(error instanceof NetworkError)) throw error;
        await sleep(this.patience.pauseMs * 2 ** (attempt - 1));
      }
    }
  }

  private async request(
    url: string,
    repo: string,
    signal: AbortSignal,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const { token } = this.settings;
    // `identity`: offsets and checksums are of the file, not of a compressed stream.
    const common = { "accept-encoding": "identity", "user-agent": "ajet" };
    const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    let response: Response;
    try {
      response = await fetch(url, { headers: { ...common, ...authorization, ...headers }, signal });
    } catch (error) {
      if (signal.reason instanceof AbortError) throw signal.reason;
      throw new NetworkError(`Cannot reach ${new URL(url).origin} for the data set ${repo}: ${reasonOf(error)}`, {
        cause: error,
      });
    }
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    throw hubRefusal(response, repo, url, this.settings);
  }
}

interface TreeEntry {
  type: string;
  path: string;
  size: number;
  oid: string;
  lfs?: { oid: string; size: number };
}

function fileOf({ path, size, oid, lfs }: TreeEntry, repo: string): HubFile {
  // The path becomes one below the cache, and the digest a file's name.
  const steps = path.split("/");
  if (
    steps.some((step) => step === "" || step === "." || step === "..") ||
    !/^[0-9a-f]{40,64}$/.test(lfs?.oid ?? oid)
  ) {
    throw new NetworkError(`The listing of ${repo} has an entry that is no file's: ${JSON.stringify({ path, oid })}`);
  }
  return { path, size: lfs?.size ?? size, etag: lfs?.oid ?? oid, isLfs: lfs !== undefined };
}
