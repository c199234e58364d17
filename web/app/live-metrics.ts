import { useEffect, useReducer, useRef } from "preact/hooks";
import type { MetricsReply, MetricsRow, RunInfo } from "../../src/logview/api-types.js";
import { get } from "./api.js";

/** Time between looks at a run that goes on. */
const LIVE_MS = 1000;

/** A run's metrics so far, by step; a step that was written again counts once. */
export interface RunMetrics {
  rows: readonly MetricsRow[];
  validation: readonly MetricsRow[];
}

interface Feed extends RunMetrics {
  byStep: Map<number, MetricsRow>;
  next: number;
  generation: string;
}

/** The metrics of some runs, read on while they grow. */
export function useLiveMetrics(runs: readonly RunInfo[]): ReadonlyMap<string, RunMetrics> {
  const feeds = useRef(new Map<string, Feed>());
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const ids = runs.map(({ id, status }) => `${id}\n${status}`).join("\0");
  // The ids stand for the runs, which are new objects each time.
  useEffect(() => {
    const controller = new AbortController();
    const readOn = async (id: string) => {
      if (await update(feeds.current, id, controller.signal)) redraw(undefined);
    };
    for (const { id } of runs) void readOn(id);
    const live = runs.filter(({ status }) => status === "running");
    const timer = setInterval(() => {
      if (!document.hidden) for (const { id } of live) void readOn(id);
    }, LIVE_MS);
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, [ids]);
  return feeds.current;
}

/** True where something is new. A viewer that does not answer is told of at the top of the page. */
async function update(feeds: Map<string, Feed>, id: string, signal: AbortSignal): Promise<boolean> {
  let changed = false;
  for (let more = true; more; ) {
    const old = feeds.get(id);
    const reply = await get<MetricsReply>(
      "metrics",
      { run: id, from: old?.next ?? 0, generation: old?.generation },
      signal,
    ).catch(() => undefined);
    if (reply === undefined || signal.aborted) return changed;
    const byStep = reply.reset || old === undefined ? new Map<number, MetricsRow>() : old.byStep;
    for (const row of reply.rows) byStep.set(row.step, row);
    const isNew = reply.rows.length > 0 || reply.reset || old?.validation.length !== reply.validation.length;
    if (isNew) {
      const rows = [...byStep.values()].sort((a, b) => a.step - b.step);
      const { next, generation, validation } = reply;
      feeds.set(id, { byStep, rows, next, generation, validation: lastOfEachStep(validation) });
      changed = true;
    }
    more = reply.more;
  }
  return changed;
}

function lastOfEachStep(rows: readonly MetricsRow[]): MetricsRow[] {
  return [...new Map(rows.map((row) => [row.step, row])).values()].sort((a, b) => a.step - b.step);
}
