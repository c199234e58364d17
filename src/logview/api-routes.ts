import { basename } from "node:path";
import type { FastifyInstance } from "fastify";
import { packageVersion } from "../native/package-root.js";
import type { EpisodesReply, MetricsReply, RunsReply, SettingsReply, StepsReply } from "./api-types.js";
import { episodeQuery, finite, type QueryParameters, text } from "./episode-query.js";
import { episodeReply, treeReply } from "./episode-reply.js";
import { readRows } from "./metrics-tail.js";
import type { FoundRun, RunCatalog } from "./run-catalog.js";
import { readSettings } from "./settings.js";
import type { TokenLogs } from "./token-logs.js";

/** A request for something that is not there. */
export class NotFoundError extends Error {
  readonly statusCode = 404;
}

/** Adds what the pages ask for, all of it by GET. */
export function addApiRoutes(server: FastifyInstance, catalog: RunCatalog, logs: TokenLogs): void {
  const { folder } = catalog;
  const get = (name: string, answer: (query: QueryParameters) => unknown) =>
    server.get(`/api/${name}`, async (request) => await answer(request.query as QueryParameters));
  const getOfRun = (name: string, answer: (run: FoundRun, query: QueryParameters) => unknown) =>
    get(name, (query) => answer(findRun(catalog, query), query));

  get("runs", (): RunsReply => ({ folder: basename(folder.root), version: packageVersion(), runs: catalog.list() }));
  getOfRun("settings", (run): SettingsReply => ({ settings: readSettings(folder, run.path) }));
  getOfRun("metrics", (run, query) => metrics(catalog, run, query));
  getOfRun("steps", (run) =>
    logs.use(run, async (log): Promise<StepsReply> => ({ steps: await log.steps(), notes: log.notes })),
  );
  getOfRun("episodes", (run, parameters) =>
    logs.use(run, async (log): Promise<EpisodesReply> => {
      const query = episodeQuery(parameters);
      const { headers, total } = await log.list(query);
      return { episodes: headers, total, offset: query.offset ?? 0, notes: log.notes };
    }),
  );
  getOfRun("episode", (run, query) => {
    const key = text(query["key"]);
    if (key === undefined) throw new NotFoundError("Expected `key`, an episode's step and index, such as 3.17");
    return logs.use(run, async (log) => episodeReply(await log.episode(key)));
  });
  getOfRun("tree", (run, query) => {
    const [step, group] = [finite(query["step"]), finite(query["group"])];
    if (step === undefined || group === undefined) throw new NotFoundError("Expected `step` and `group`, two numbers");
    return logs.use(run, async (log) => {
      const { headers } = await log.list({ step, group, limit: 1000 });
      return treeReply(await log.tree(step, group), headers);
    });
  });
}

function findRun(catalog: RunCatalog, query: QueryParameters): FoundRun {
  const id = text(query["run"]);
  const run = id === undefined ? undefined : catalog.find(id);
  if (run === undefined) throw new NotFoundError("There is no such run in this folder");
  return run;
}

function metrics(catalog: RunCatalog, run: FoundRun, query: QueryParameters): MetricsReply {
  const generation = catalog.generation(run);
  const file = [...run.path, "metrics.jsonl"];
  const asked = Math.max(0, Math.floor(finite(query["from"]) ?? 0));
  const size = catalog.folder.sizeOf(file) ?? 0;
  const reset = asked > size || (asked > 0 && query["generation"] !== generation);
  const { rows, next } = readRows(catalog.folder, file, reset ? 0 : asked);
  const validation = readRows(catalog.folder, [...run.path, "validation.jsonl"], 0).rows;
  return { generation, next, reset, more: rows.length > 0 && next < size, rows, validation };
}
