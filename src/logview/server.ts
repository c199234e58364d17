import { randomBytes, timingSafeEqual } from "node:crypto";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from "fastify";
import { FileError } from "../native/errors.js";
import { listen } from "../net/listen.js";
import { addApiRoutes, NotFoundError } from "./api-routes.js";
import type { ErrorReply } from "./api-types.js";
import { ConfinedFolder } from "./confined-folder.js";
import { loadPages } from "./pages.js";
import { RunCatalog } from "./run-catalog.js";
import { TokenLogs } from "./token-logs.js";

/** How {@link startLogview} serves. */
export interface LogviewOptions {
  /** Runs below it are shown; nothing outside is read. */
  folder: string;
  /** 0, the default, picks a free one. */
  port?: number;
  /** What a request must bring; default: random. */
  token?: string;
}

/** The pages, being served. */
export interface RunningLogview {
  port: number;
  /** With the access token. */
  url: string;
  /** The page of one run's curves. */
  urlOfRun(id: string): string;
  stop(): Promise<void>;
}

/** Other machines do not reach it. */
const HOST = "127.0.0.1";

const HEADERS = {
  "content-security-policy":
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-store",
};

/**
 * Serves the pages about the runs below a folder, to who has the token in the URL. Nothing is written.
 * @throws ConfigError where there is no such folder, or the port cannot be had.
 * @throws FileError where the pages were not built.
 */
export async function startLogview(options: LogviewOptions): Promise<RunningLogview> {
  const token = options.token ?? randomBytes(18).toString("base64url");
  const catalog = new RunCatalog(new ConfinedFolder(options.folder));
  const logs = new TokenLogs(catalog.folder);
  const server = Fastify({ logger: false, forceCloseConnections: true, routerOptions: { maxParamLength: 1000 } });
  guard(server, token);
  const pages = loadPages(token);
  for (const [path, { type, content }] of pages) server.get(path, (_, reply) => reply.type(type).send(content));
  addApiRoutes(server, catalog, logs);
  answerErrors(server);
  const port = await listen(server, HOST, options.port ?? 0);
  const url = `http://${HOST}:${port}/?token=${token}`;
  return {
    port,
    url,
    urlOfRun: (id) => `${url}#/curves?runs=${encodeURIComponent(id.replaceAll("%", "%25").replaceAll(",", "%2C"))}`,
    stop: async () => {
      await server.close();
      await logs[Symbol.asyncDispose]();
    },
  };
}

/** Every answer has the headers, and every request must bring the token and name this machine. */
function guard(server: FastifyInstance, token: string): void {
  server.addHook("onRequest", async (request, reply) => {
    reply.headers(HEADERS);
    // A page of another site whose name was made to point here (DNS rebinding) names that site.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? "")) {
      return reply.code(403).send({ error: "Expected a request to 127.0.0.1" } satisfies ErrorReply);
    }
    if (!isEqual(tokenOf(request), token)) {
      const error = "Expected the access token: open the address that ajet printed, with `?token=…`";
      return reply.code(401).send({ error } satisfies ErrorReply);
    }
    return undefined;
  });
}

function tokenOf(request: FastifyRequest): string {
  const header = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const query = (request.query as { token?: unknown } | null)?.token;
  return header ?? (typeof query === "string" ? query : "");
}

function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function answerErrors(server: FastifyInstance): void {
  server.setNotFoundHandler((_, reply) =>
    reply.code(404).send({ error: "There is no such page" } satisfies ErrorReply),
  );
  server.setErrorHandler((error: FastifyError, _, reply) => {
    const status = error instanceof NotFoundError || error instanceof FileError ? 404 : (error.statusCode ?? 500);
    reply.code(status).send({ error: error.message } satisfies ErrorReply);
  });
}
