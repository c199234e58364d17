import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { count, decimal, seconds } from "../app/format.js";
import { link, setParams } from "../app/route.js";
import { useVirtualList } from "../app/virtual-list.js";
import type { EpisodePages } from "./episode-pages.js";
import { Marks, Outcome } from "./outcome.js";

/** Pixels. */
const ROW = 34;

interface Column {
  key: string;
  label: string;
  title?: string;
  isNumber?: boolean;
  cell: (header: EpisodeHeader, run: string) => preact.ComponentChildren;
}

const COLUMNS: readonly Column[] = [
  { key: "step", label: "step", isNumber: true, cell: ({ step }) => step },
  {
    key: "taskId",
    label: "task",
    cell: ({ taskId }, run) => (
      <a href={link("episodes", { run, view: "task", taskId })} title="this task across the steps">
        {taskId}
      </a>
    ),
  },
  {
    key: "sample",
    label: "sample",
    isNumber: true,
    cell: ({ sample, step, group }, run) => (
      <a href={link("episodes", { run, view: "group", step, group })} title="its group side by side">
        {sample}
      </a>
    ),
  },
  { key: "success", label: "outcome", cell: (header) => <Outcome header={header} /> },
  { key: "reward", label: "reward", isNumber: true, cell: ({ reward }) => decimal(reward) },
  { key: "advantage", label: "advantage", isNumber: true, cell: ({ advantage }) => decimal(advantage, 2) },
  {
    key: "length",
    label: "length",
    title: "tokens of the longest call",
    isNumber: true,
    cell: ({ length }) => count(length),
  },
  { key: "sampledTokens", label: "sampled", isNumber: true, cell: ({ sampledTokens }) => count(sampledTokens) },
  { key: "lossTokens", label: "in loss", isNumber: true, cell: ({ lossTokens }) => count(lossTokens) },
  { key: "toolCalls", label: "tools", isNumber: true, cell: ({ toolCalls }) => toolCalls },
  {
    key: "toolErrors",
    label: "errors",
    title: "tool calls that were answered with an error",
    isNumber: true,
    cell: ({ toolErrors }) => (toolErrors > 0 ? <b class="bad-text">{toolErrors}</b> : 0),
  },
  { key: "wallMs", label: "time", isNumber: true, cell: ({ wallMs }) => seconds(wallMs / 1000) },
  { key: "marks", label: "what it shows", cell: ({ marks }) => <Marks marks={marks} /> },
];

/** The row that was last opened from a table, by the table's link: the way back leads to it. */
const openedRows = new Map<string, number>();

/** The episodes as rows; the arrow keys move, Enter opens the tokens. */
export function EpisodeTable({ pages, run, params }: { pages: EpisodePages; run: string; params: URLSearchParams }) {
  const box = useRef<HTMLDivElement>(null);
  const table = `${run} ${params}`;
  const [active, setActive] = useState(() => openedRows.get(table) ?? 0);
  const total = pages.total ?? 0;
  const sizeOf = useCallback(() => ROW, []);
  const list = useVirtualList({ count: total, sizeOf, box });
  const isKnown = pages.total !== undefined;
  useEffect(() => {
    if (isKnown) setActive((index) => Math.min(index, Math.max(0, total - 1)));
  }, [total, isKnown]);
  useEffect(() => {
    if (isKnown && openedRows.has(table)) list.scrollTo(active, "center");
  }, [isKnown]);
  const open = (index: number) => {
    const header = pages.at(index);
    if (!header) return;
    openedRows.set(table, index);
    location.hash = link("tokens", { run, key: header.key });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const move = { ArrowUp: -1, ArrowDown: 1, PageUp: -15, PageDown: 15, Home: -total, End: total }[event.key];
    if (move !== undefined) {
      event.preventDefault();
      const next = Math.max(0, Math.min(total - 1, active + move));
      setActive(next);
      list.scrollTo(next);
    } else if (event.key === "Enter" && event.target === box.current) open(active);
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: rows that are not drawn cannot be rows of a table element
    <div
      class="table card"
      role="grid"
      tabIndex={0}
      aria-label="Episodes; arrow keys move, Enter opens"
      aria-rowcount={total + 1}
      aria-activedescendant={total > 0 ? `row-${active}` : undefined}
      ref={box}
      onKeyDown={onKeyDown}
    >
      <Heads params={params} />
      {/* biome-ignore lint/a11y/useSemanticElements: as above */}
      <div class="table-rows" role="rowgroup" style={{ height: `${list.height}px` }}>
        {list.items.map(({ index, start }) => {
          const header = pages.at(index);
          return (
            // biome-ignore lint/a11y/useSemanticElements: as above
            // biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus, and names the active row
            // biome-ignore lint/a11y/useKeyWithClickEvents: the grid takes the keys
            <div
              key={index}
              id={`row-${index}`}
              class={`row${index === active ? " active" : ""}`}
              role="row"
              aria-rowindex={index + 2}
              aria-selected={index === active}
              style={{ transform: `translateY(${start}px)` }}
              onClick={(event) => {
                setActive(index);
                if (!(event.target as Element).closest("a")) open(index);
              }}
            >
              {COLUMNS.map(({ key, isNumber, cell }) => (
                // biome-ignore lint/a11y/useSemanticElements: as above
                // biome-ignore lint/a11y/useFocusableInteractive: as above
                <span key={key} role="gridcell" class={`cell ${key}${isNumber ? " number" : ""}`}>
                  {header ? cell(header, run) : ""}
                </span>
              ))}
            </div>
          );
        })}
      </div>
      {pages.total === 0 && !pages.error && <p class="nothing muted">No episode like this.</p>}
    </div>
  );
}

function Heads({ params }: { params: URLSearchParams }) {
  const sortBy = params.get("sortBy");
  const descending = params.get("descending") === "true";
  const sort = (key: string) => {
    if (sortBy !== key) setParams({ sortBy: key, descending: null });
    else if (!descending) setParams({ descending: "true" });
    else setParams({ sortBy: null, descending: null });
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: as the rows
    // biome-ignore lint/a11y/useFocusableInteractive: its buttons have the focus
    <div class="heads" role="row" aria-rowindex={1}>
      {COLUMNS.map(({ key, label, title, isNumber }) => (
        // biome-ignore lint/a11y/useSemanticElements: as the rows
        // biome-ignore lint/a11y/useFocusableInteractive: as above
        <span
          key={key}
          role="columnheader"
          class={`cell ${key}${isNumber ? " number" : ""}`}
          aria-sort={sortBy === key ? (descending ? "descending" : "ascending") : "none"}
        >
          {key === "marks" ? (
            label
          ) : (
            <button type="button" class="sort" title={title} onClick={() => sort(key)}>
              {label}
              {sortBy === key ? (descending ? " ↓" : " ↑") : ""}
            </button>
          )}
        </span>
      ))}
    </div>
  );
}
