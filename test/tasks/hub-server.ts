import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A file of a repository; those in LFS are served by a redirect, as the hub does. */
export interface RepoFile {
  content: Buffer;
  isLfs: boolean;
}

/** A request as it came. */
export interface HubRequest {
  method: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const PAGE = 3;

/** A server that speaks the part of the hub's API that reads data sets, over real sockets, with faults on request. */
export class HubServer {
  readonly requests: HubRequest[] = [];
  readonly repos = new Map<string, Map<string, RepoFile>>();
  /** Repositories that only this token may read. */
  readonly gated = new Map<string, string>();
  /** Breaks a longer content response after so many bytes, so many times; then, if asked to, everything. */
  cut = { afterBytes: 0, times: 0, thenDown: false };
  /** Breaks every connection. */
  isDown = false;
  /** Ends every file after so many bytes, cleanly, as a proxy does that lost its upstream. */
  truncate = 0;
  /** Answers so many API requests with 503. */
  busy = 0;
  ignoresRange = false;
  /** Sends content of the right length that is not the file's. */
  corrupts = false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<HubServer> {
    const hub = new HubServer();
    await new Promise<void>((resolve) => hub.#server.listen(0, "127.0.0.1", resolve));
    return hub;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Bytes of content that were asked for, with the offset that they were asked from. */
  get contentRequests(): HubRequest[] {
    return this.requests.filter(({ method, path }) => method === "GET" && /^\/(lfs|datasets)\//.test(path));
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): ServerResponse {
    if (this.isDown) {
      request.socket.destroy();
      return response;
    }
    const { pathname, searchParams } = new URL(request.url as string, this.url);
    const { range, authorization } = request.headers;
    const path = decodeURIComponent(pathname);
    this.requests.push({ method: request.method as string, path, range, authorization });
    const api = /^\/api\/datasets\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(path);
    const resolved = /^\/datasets\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(path);
    const lfs = /^\/lfs\/([0-9a-f]{64})$/.exec(path)?.[1];
    if (lfs !== undefined) return this.#sendLfs(lfs, request, response);
    const repo = (api ?? resolved)?.[1] ?? "";
    const files = this.repos.get(repo);
    if (api && this.busy > 0) {
      this.busy--;
      return refuse(response, 503, "");
    }
    if (files === undefined) return refuse(response, authorization ? 404 : 401, "RepoNotFound");
    const owner = this.gated.get(repo);
    if (owner !== undefined && authorization !== `Bearer ${owner}`) {
      return refuse(response, authorization ? 403 : 401, "GatedRepo");
    }
    if (api && api[3] !== "main" && api[3] !== COMMIT) return refuse(response, 404, "RevisionNotFound");
    if (api?.[2] === "revision") return sendJson(response, revisionOf(repo, files));
    if (api) return this.#sendTree(files, Number(searchParams.get("cursor") ?? 0), path, response);
    return this.#sendResolved(files.get(resolved?.[2] ?? ""), request, response);
  }

  #sendTree(files: Map<string, RepoFile>, from: number, path: string, response: ServerResponse): ServerResponse {
    const folders = [...new Set([...files.keys()].flatMap((name) => (name.includes("/") ? [name.split("/")[0]] : [])))];
    const entries = [
      ...folders.map((folder) => ({ type: "directory", oid: "0".repeat(40), size: 0, path: folder })),
      ...[...files].map(([name, file]) => treeEntry(name, file)),
    ];
    const next = from + PAGE;
    if (next < entries.length) {
      response.setHeader("link", `<${this.url}${path}?recursive=true&cursor=${next}>; rel="next"`);
    }
    return sendJson(response, entries.slice(from, next));
  }

  #sendResolved(file: RepoFile | undefined, request: IncomingMessage, response: ServerResponse): ServerResponse {
    if (file === undefined) return refuse(response, 404, "EntryNotFound");
    response.setHeader("x-repo-commit", COMMIT);
    if (!file.isLfs) {
      response.setHeader("etag", `"${gitDigest(file.content)}"`);
      return this.#sendContent(file.content, request, response);
    }
    const digest = sha256(file.content);
    response.setHeader("x-linked-etag", `"${digest}"`);
    response.setHeader("x-linked-size", file.content.length);
    return response.writeHead(302, { location: `${this.url}/lfs/${digest}`, "content-length": 0 }).end();
  }

  #sendLfs(digest: string, request: IncomingMessage, response: ServerResponse): ServerResponse {
    const files = [...this.repos.values()].flatMap((repo) => [...repo.values()]);
    const file = files.find(({ content }) => sha256(content) === digest);
    if (file === undefined) return refuse(response, 404, "EntryNotFound");
    response.setHeader("x-repo-commit", COMMIT);
    response.setHeader("etag", `"${digest}"`);
    return this.#sendContent(file.content, request, response);
  }

  #sendContent(whole: Buffer, request: IncomingMessage, response: ServerResponse): ServerResponse {
    const from = this.ignoresRange ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from >= whole.length && from > 0) return refuse(response, 416, "");
    const content = this.corrupts ? Buffer.alloc(whole.length - from, "?") : whole.subarray(from);
    const headers = from > 0 ? { "content-range": `bytes ${from}-${whole.length - 1}/${whole.length}` } : {};
    const status = from > 0 ? 206 : 200;
    if (request.method === "HEAD") return response.writeHead(200, { "content-length": whole.length }).end();
    if (this.truncate > 0)
      return response.writeHead(status, headers).end(content.subarray(0, Math.max(0, this.truncate - from))); // chunked
    response.writeHead(status, { ...headers, "content-length": content.length });
    if (this.cut.times === 0 || content.length <= this.cut.afterBytes) return response.end(content);
    this.cut.times--;
    response.write(content.subarray(0, this.cut.afterBytes), () => {
      this.isDown = this.cut.thenDown;
      setTimeout(() => response.socket?.destroy(), 20);
    });
    return response;
  }
}

function treeEntry(path: string, { content, isLfs }: RepoFile): object {
  const size = content.length;
  if (!isLfs) return { type: "file", oid: gitDigest(content), size, path };
  const lfs = { oid: sha256(content), size, pointerSize: 131 };
  return { type: "file", oid: gitDigest(Buffer.from(`pointer to ${lfs.oid}`)), size, path, lfs };
}

function revisionOf(repo: string, files: Map<string, RepoFile>): object {
  const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
  return {
    _id: "1",
    id: repo,
    sha: COMMIT,
    private: false,
    gated: false,
    disabled: false,
    tags: [],
    downloads: 0,
    likes: 0,
    siblings,
  };
}

function refuse(response: ServerResponse, status: number, code: string): ServerResponse {
  return response.writeHead(status, code === "" ? {} : { "x-error-code": code }).end();
}

function sendJson(response: ServerResponse, value: unknown): ServerResponse {
  return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** What `git hash-object` prints. */
export function gitDigest(content: Buffer): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}
