import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isJsonObject, type JsonObject } from "../text/json-file.js";
import { ApiError, invalidField, unexpectedField } from "./api-error.js";
import type { EpisodeDesk, EpisodeEnd, OfferedEpisode } from "./episode-api.js";
import { readNumber } from "./field-readers.js";
import type { Session } from "./session.js";

/** Longest wait of one request; agents ask again. */
const LONGEST_WAIT_S = 60;
const DEFAULT_WAIT_S = 30;
/** Time-outs of common clients are longer. */
const OFFER_WAIT_S = 20;
const LONGEST_EPISODE_S = 7 * 24 * 3600;

/** How requests are told apart. */
export interface EpisodeApiAccess {
  /** Session of the episode's own key. @throws ApiError 401 */
  session(request: FastifyRequest): Session;
  /** @throws ApiError 401 unless the request has the key of the episode API. */
  checkKey(request: FastifyRequest): void;
  /** False: agents outside may not take episodes. */
  isOn: boolean;
}

/** `POST /v1/episodes/…`: how agents of other processes get episodes, and end them. */
export function addEpisodeRoutes(app: FastifyInstance, desk: EpisodeDesk, access: EpisodeApiAccess): void {
  const keyed = { onRequest: async (request: FastifyRequest) => void access.session(request) };
  app.post("/v1/episodes/begin", { onRequest: async (request) => access.checkKey(request) }, (request, reply) =>
    begin(desk, request, reply),
  );
  app.post("/v1/episodes/end", keyed, async (request) => {
    const output = readEnd(fields(request, ["reward", "is_success", "metadata", "log_metrics"]));
    desk.finish(access.session(request).apiKey, { status: "ended", output });
    return { status: "ended" };
  });
  app.post("/v1/episodes/abort", keyed, async (request) => {
    const { reason = "no reason given" } = fields(request, ["reason"]);
    if (typeof reason !== "string") throw unexpectedField("reason", "a text", reason);
    desk.finish(access.session(request).apiKey, { status: "aborted", reason });
    return { status: "aborted" };
  });
  // The run's side, for `ExternalAgent`: asked again and again until the episode has ended.
  app.post("/v1/episodes/offer", keyed, async (request, reply) => {
    if (!access.isOn) throw episodeApiOff();
    const { apiKey, options } = access.session(request);
    desk.offer(apiKey, request.body as OfferedEpisode, (event) => options.onEpisode?.(event));
    const end = await desk.outcome(apiKey, OFFER_WAIT_S * 1000);
    if (end === undefined) reply.code(202);
    return end ?? { status: "open" };
  });
}

async function begin(desk: EpisodeDesk, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const body = fields(request, ["wait_s", "timeout_s"]);
  const waitS = readNumber(body, "wait_s", { min: 0, max: LONGEST_WAIT_S }) ?? DEFAULT_WAIT_S;
  const timeoutS = readNumber(body, "timeout_s", { min: 0, max: LONGEST_EPISODE_S, aboveMin: true });
  const gone = new AbortController();
  const { socket } = request.raw;
  const onGone = () => gone.abort();
  // `end` comes first; both are missed where the connection was closed while the body was read.
  socket.once("end", onGone);
  reply.raw.once("close", () => {
    socket.off("end", onGone);
    onGone();
  });
  if (socket.destroyed || socket.readableEnded) onGone();
  const offer = await desk.take(waitS * 1000, timeoutS, gone.signal);
  if (offer === undefined) return reply.code(204).send();
  // Data and the end that came with it are read in different turns of the loop: only the second turn from here on has
  // seen all that had arrived when the episode was handed over.
  for (let turn = 0; turn < 2; turn++) await nextTurn();
  if (gone.signal.aborted) {
    desk.giveBack(offer.apiKey);
    return reply.code(204).send();
  }
  const { apiKey, episode } = offer;
  const limit = timeoutS ?? Number.POSITIVE_INFINITY;
  const timeout = Math.min(limit, episode.timeout_s ?? Number.POSITIVE_INFINITY);
  return {
    ...episode,
    timeout_s: Number.isFinite(timeout) ? timeout : null,
    // As the agent reached us: behind a tunnel or a proxy our own address would be of no use to it.
    base_url: `${request.protocol}://${request.host}/v1`,
    api_key: apiKey,
    model: "ajet",
  };
}

function fields(request: FastifyRequest, known: readonly string[]): JsonObject {
  const body: unknown = request.body ?? {};
  if (!isJsonObject(body)) throw unexpectedField("body", "a JSON object", body);
  for (const name of Object.keys(body)) {
    if (known.includes(name)) continue;
    throw invalidField(name, `Unknown field \`${name}\`; known are ${known.join(", ")}`, "unknown_parameter");
  }
  return body;
}

function readEnd(body: JsonObject): EpisodeEnd {
  const { reward = null, is_success, metadata = {}, log_metrics = {} } = body;
  if (reward !== null && !Number.isFinite(reward)) {
    throw unexpectedField("reward", "a finite number, or null for the judge", reward);
  }
  if (is_success !== undefined && is_success !== null && typeof is_success !== "boolean") {
    throw unexpectedField("is_success", "a boolean", is_success);
  }
  if (!isJsonObject(metadata)) throw unexpectedField("metadata", "an object", metadata);
  if (!isJsonObject(log_metrics)) throw unexpectedField("log_metrics", "an object of numbers", log_metrics);
  for (const [name, value] of Object.entries(log_metrics)) {
    if (!Number.isFinite(value)) throw unexpectedField(`log_metrics.${name}`, "a finite number", value);
  }
  const success = typeof is_success === "boolean" ? { is_success } : {};
  return { reward: reward as number | null, ...success, metadata, log_metrics: log_metrics as Record<string, number> };
}

/** 404 of a run that does not let agents outside in. */
export function episodeApiOff(): ApiError {
  return new ApiError(404, "This run gives no episodes to agents outside: set `rollout.episode_api.enabled`", {
    code: "episode_api_off",
  });
}
