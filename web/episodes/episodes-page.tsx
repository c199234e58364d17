import type { RunInfo } from "../../src/logview/api-types.js";
import { count } from "../app/format.js";
import { setParams } from "../app/route.js";
import { RunSelect } from "../app/run-select.js";
import { useEpisodePages } from "./episode-pages.js";
import { EpisodeTable } from "./episode-table.js";
import { FILTERS, Filters } from "./filters.js";
import { GroupView } from "./group-view.js";
import { TaskView } from "./task-view.js";

interface EpisodesProps {
  runs: readonly RunInfo[];
  run: string;
  params: URLSearchParams;
}

/** A run's episodes: a table, or a group side by side, or a task across the steps. */
export function EpisodesPage({ runs, run, params }: EpisodesProps) {
  const view = params.get("view");
  const taskId = params.get("taskId");
  const [step, group] = [params.get("step"), params.get("group")];
  if (view === "group" && step !== null && group !== null) {
    return <GroupView run={run} step={Number(step)} group={Number(group)} />;
  }
  if (view === "task" && taskId !== null) return <TaskView run={run} taskId={taskId} />;
  return <TableView runs={runs} run={run} params={params} />;
}

function TableView({ runs, run, params }: EpisodesProps) {
  const live = runs.find(({ id }) => id === run)?.status === "running";
  const chosen = Object.fromEntries(
    [...FILTERS, "sortBy", "descending"].flatMap((name) => {
      const value = params.get(name);
      return value === null ? [] : [[name, value]];
    }),
  );
  const pages = useEpisodePages({ run, ...chosen }, live ?? false);
  return (
    <section class="full-height">
      <div class="page-head">
        <h1>Episodes</h1>
        <RunSelect runs={runs} run={run} onRun={(id) => setParams({ run: id, step: null, group: null })} />
        <span class="muted" role="status">
          {pages.total === undefined ? "…" : `${count(pages.total)} episodes`}
        </span>
      </div>
      <Filters params={params} />
      {[...(pages.error ? [pages.error] : []), ...pages.notes].map((text) => (
        <p key={text} class="notice">
          {text}
        </p>
      ))}
      <EpisodeTable pages={pages} run={run} params={params} />
    </section>
  );
}
