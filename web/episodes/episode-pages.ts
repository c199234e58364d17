import { useEffect, useReducer, useRef } from "preact/hooks";
import type { EpisodesReply } from "../../src/logview/api-types.js";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { get } from "../app/api.js";

/** Episodes that are asked for at once. */
const PAGE = 100;
/** Time between looks at a run that goes on. */
const LIVE_MS = 2000;
/** Pages that are kept. */
const MOST_PAGES = 60;

/** A long list of episodes, of which only parts are here. */
export interface EpisodePages {
  total: number | undefined;
  error: string | undefined;
  /** What of the log could not be read. */
  notes: readonly string[];
  /** Undefined where it is not here yet: it is being fetched. */
  at: (index: number) => EpisodeHeader | undefined;
}

interface Store {
  query: string;
  total: number | undefined;
  error: string | undefined;
  notes: readonly string[];
  pages: Map<number, readonly EpisodeHeader[]>;
  asked: Set<number>;
  /** Pages that are seen. */
  seen: Set<number>;
}

/** The episodes that meet a query, fetched as they come into view. */
export function useEpisodePages(params: Readonly<Record<string, string>>, live: boolean): EpisodePages {
  const query = JSON.stringify(params);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const store = useRef<Store>(newStore(""));
  if (store.current.query !== query) {
    const { total } = store.current;
    store.current = { ...newStore(query), total };
  }
  const fetchPage = async (page: number, into: Store) => {
    if (into.asked.has(page)) return;
    into.asked.add(page);
    try {
      const reply = await get<EpisodesReply>("episodes", { ...params, offset: page * PAGE, limit: PAGE });
      if (into.pages.size >= MOST_PAGES) forgetOne(into, page);
      into.pages.set(page, reply.episodes);
      into.total = reply.total;
      into.notes = reply.notes;
      into.error = undefined;
    } catch (error) {
      into.error = (error as Error).message;
      into.total = 0;
    }
    if (store.current === into) redraw(undefined);
  };
  useEffect(() => {
    void fetchPage(0, store.current);
    if (!live) return undefined;
    const timer = setInterval(() => {
      if (document.hidden) return;
      const { asked, pages, seen } = store.current;
      asked.clear();
      // What is not seen is asked for when it is seen again.
      for (const page of pages.keys()) if (!seen.has(page)) pages.delete(page);
      for (const page of new Set([0, ...seen])) void fetchPage(page, store.current);
    }, LIVE_MS);
    return () => clearInterval(timer);
  }, [query, live]);
  const { total, error, notes } = store.current;
  store.current.seen = new Set();
  return {
    total,
    error,
    notes,
    at: (index) => {
      const page = Math.floor(index / PAGE);
      store.current.seen.add(page);
      const found = store.current.pages.get(page);
      if (!found) queueMicrotask(() => void fetchPage(page, store.current));
      return found?.[index % PAGE];
    },
  };
}

function newStore(query: string): Store {
  return { query, total: undefined, error: undefined, notes: [], pages: new Map(), asked: new Set(), seen: new Set() };
}

/** The page furthest from the one that comes. */
function forgetOne({ pages, asked }: Store, coming: number): void {
  const furthest = [...pages.keys()].sort((a, b) => Math.abs(b - coming) - Math.abs(a - coming))[0];
  if (furthest === undefined) return;
  pages.delete(furthest);
  asked.delete(furthest);
}
