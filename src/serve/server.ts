import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { ConfigError } from "../native/errors.js";
import { listen } from "../net/listen.js";
import {
  ApiError,
  CLIENT_CLOSED,
  methodNotAllowed,
  serverStopping,
  toApiError,
  unauthorized,
  unknownUrl,
} from "./api-error.js";
import { type Caller, findCaller } from "./bearer.js";
import { ChatCompletions } from "./chat-completion.js";
import { ChatRoute } from "./chat-route.js";
import type { OpenSession, RunningServer, ServerOptions, ServeSession } from "./contract.js";
import { EpisodeDesk } from "./episode-api.js";
import { addEpisodeRoutes, episodeApiOff } from "./episode-api-routes.js";
import { Metrics } from "./metrics.js";
import { responsesFormat } from "./responses.js";
import { Session } from "./session.js";

/** Default of `ServerOptions.maxBodyBytes`. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Starts the OpenAI-compatible server; it answers nobody until a session is opened. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const server = new ChatServer(options);
  await server.listen();
  return server;
}

class ChatServer implements RunningServer {
  port = 0;
  private readonly host: string;
  private readonly sessions = new Map<string, Session>();
  private readonly desk = new EpisodeDesk();
  private readonly app: FastifyInstance;
  private readonly chat: ChatRoute;
  private readonly metrics: Metrics;
  private readonly started = Math.floor(Date.now() / 1000);

  constructor(private readonly options: ServerOptions) {
    this.host = options.host ?? "127.0.0.1";
    const completions = new ChatCompletions(options.engine, options.tokenizer, options.chatTemplate);
    this.chat = new ChatRoute(completions, () => this.metrics, options);
    this.metrics = new Metrics(options.engine, () => this.chat.pending);
    this.app = Fastify({
      bodyLimit: options.maxBodyBytes ?? MAX_BODY_BYTES,
      forceCloseConnections: true,
      frameworkErrors: (error, request, reply) => this.sendError(error, request, reply as unknown as FastifyReply),
    });
    this.setUpErrors();
    this.setUpRoutes();
  }

  get baseUrl(): string {
    return `http://${this.host.includes(":") ? `[${this.host}]` : this.host}:${this.port}/v1`;
  }

  async listen(): Promise<void> {
    this.port = await listen(this.app, this.host, this.options.port ?? 0);
  }

  open(options: ServeSession): OpenSession {
    const { apiKey, training, defaults } = options;
    if (apiKey === "") throw new ConfigError("Expected a non-empty `apiKey` but received an empty text");
    if (this.sessions.has(apiKey)) throw new ConfigError("A session with this `apiKey` is open already");
    if (training && (defaults.topP !== 1 || defaults.topK !== 0 || defaults.minP !== 0)) {
      throw new ConfigError(
        `Expected top_p 1, top_k 0 and min_p 0 for training but received ${defaults.topP}, ${defaults.topK} and ` +
          `${defaults.minP}: the trainer computes log-probs of the whole distribution`,
      );
    }
    const session = new Session(options);
    this.sessions.set(apiKey, session);
    return session;
  }

  async close(apiKey: string): Promise<void> {
    const session = this.sessions.get(apiKey);
    this.sessions.delete(apiKey);
    this.desk.withdraw(apiKey);
    await session?.close();
  }

  publishMetrics(values: Readonly<Record<string, number>>): void {
    this.metrics.publish(values);
  }

  async stop(): Promise<void> {
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    await Promise.all(sessions.map((session) => session.close(serverStopping())));
    await this.app.close();
  }

  private setUpErrors(): void {
    const { app } = this;
    app.removeContentTypeParser(["application/json", "text/plain"]);
    app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => {
      try {
        done(null, JSON.parse(body as string));
      } catch (error) {
        done(new ApiError(400, `The request body is not valid JSON: ${(error as Error).message}`));
      }
    });
    app.setErrorHandler((error, request, reply) => this.sendError(error, request, reply));
    app.setNotFoundHandler((request, reply) => {
      const path = request.url.split("?", 1)[0] as string;
      const allowed = ROUTES[path];
      const { method } = request;
      this.sendError(
        allowed === undefined ? unknownUrl(method, path) : methodNotAllowed(method, path, allowed),
        request,
        reply,
      );
    });
    app.addHook("onRequest", async (request, reply) => {
      const { raw } = reply;
      // Comes after the last byte, or when the client goes away (Fastify's onResponse would miss that).
      raw.once("close", () => {
        const status = raw.writableFinished ? raw.statusCode : CLIENT_CLOSED;
        this.metrics.countRequest(request.routeOptions.url ?? "unknown", status);
      });
    });
  }

  private setUpRoutes(): void {
    const { app, options } = this;
    const keyed = { onRequest: async (request: FastifyRequest) => void this.authenticate(request) };
    app.post("/v1/chat/completions", keyed, (request, reply) =>
      this.chat.handle(this.authenticate(request), request, reply),
    );
    app.post("/v1/responses", keyed, (request, reply) =>
      this.chat.handle(this.authenticate(request), request, reply, responsesFormat),
    );
    const session = (request: FastifyRequest) => this.authenticate(request).session;
    const checkKey = (request: FastifyRequest) => this.checkEpisodeKey(request);
    addEpisodeRoutes(app, this.desk, { session, checkKey, isOn: options.episodeApiKey !== undefined });
    app.get("/v1/models", keyed, async () => ({ object: "list", data: [this.describeModel(options.modelName)] }));
    app.get("/v1/models/*", keyed, async (request) => this.describeModel((request.params as { "*": string })["*"]));
    app.get("/health", async (_request, reply) => {
      const writer = options.engine.writer?.() ?? "own";
      const isWhole = writer !== "half_written";
      return reply.code(isWhole ? 200 : 503).send({
        status: isWhole ? "ok" : "weights_gone",
        model: options.modelName,
        weights_version: options.engine.version(),
        ...(writer === "own" ? {} : { training_run: writer }),
        pending: this.chat.pending,
      });
    });
    app.get("/metrics", async (_request, reply) => {
      reply.type(this.metrics.contentType);
      return this.metrics.render();
    });
  }

  private describeModel(id: string): object {
    const weights = this.options.engine.version();
    return { id, object: "model", created: this.started, owned_by: "ajet", weights_version: weights };
  }

  private authenticate(request: FastifyRequest): Caller<Session> {
    const header = request.headers.authorization;
    if (header === undefined) throw unauthorized("Missing API key: send `Authorization: Bearer KEY`");
    const caller = findCaller(header, this.sessions);
    if (caller === undefined) throw unauthorized("The API key is unknown, or its session has ended");
    return caller;
  }

  private checkEpisodeKey(request: FastifyRequest): void {
    const { episodeApiKey } = this.options;
    if (episodeApiKey === undefined) throw episodeApiOff();
    if (findCaller(request.headers.authorization ?? "", new Map([[episodeApiKey, true]])) === undefined) {
      throw unauthorized("Beginning an episode takes the key of the run's episode API");
    }
  }

  private sendError(error: unknown, _request: FastifyRequest, reply: FastifyReply): void {
    const failure = toApiError(error);
    if (failure.status === 500) this.options.onError?.(error);
    reply
      .code(failure.status)
      .headers(failure.details.headers ?? {})
      .send(failure.body);
  }
}

/** Methods of each path, for 405. */
const ROUTES: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "POST",
  "/v1/responses": "POST",
  "/v1/episodes/begin": "POST",
  "/v1/episodes/end": "POST",
  "/v1/episodes/abort": "POST",
  "/v1/models": "GET",
  "/health": "GET",
  "/metrics": "GET",
};
