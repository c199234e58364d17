import { useEffect, useState } from "preact/hooks";

/** The pages. */
export type PageName = "runs" | "curves" | "episodes" | "tokens";
const PAGES: readonly PageName[] = ["runs", "curves", "episodes", "tokens"];

/** What stands behind the `#`: it makes every view a link, and never goes to the server. */
export interface Route {
  page: PageName;
  params: URLSearchParams;
}

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const page = PAGES.find((name) => name === path) ?? "runs";
  return { page, params: new URLSearchParams(query) };
}

/** The link of a page; parameters that are null or empty are left out. */
export function link(page: PageName, params: Record<string, string | number | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

/** Browsers ignore, or refuse, more than about ten changes of the address a second: a key that is held makes thirty. */
const ADDRESS_MS = 150;

/** What is shown. The address is the same, or soon will be. */
let current = location.hash;
let written = 0;
let writing: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

addEventListener("hashchange", () => {
  clearTimeout(writing);
  writing = undefined;
  current = location.hash;
  for (const listener of listeners) listener();
});

/** Changes parameters of the page that is shown; `replace` keeps the way back free of small steps. */
export function setParams(changes: Record<string, string | number | null>, replace = true): void {
  const { page, params } = parseRoute(current);
  const target = link(page, { ...Object.fromEntries(params), ...changes });
  if (target === current) return;
  if (!replace) {
    location.hash = target;
    return;
  }
  current = target;
  for (const listener of listeners) listener();
  writing ??= setTimeout(writeAddress, written + ADDRESS_MS - performance.now());
}

function writeAddress(): void {
  writing = undefined;
  written = performance.now();
  history.replaceState(null, "", current);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(current));
  useEffect(() => {
    const update = () => setRoute(parseRoute(current));
    listeners.add(update);
    return () => {
      listeners.delete(update);
    };
  }, []);
  return route;
}

/** Several run ids in one parameter; folder names may hold commas. */
export function joinIds(ids: readonly string[]): string | null {
  return ids.map((id) => id.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",") || null;
}

/** As {@link joinIds} joined them. */
export function splitIds(text: string | null): string[] {
  const ids = (text ?? "").split(",").filter((id) => id !== "");
  return ids.map((id) => id.replaceAll("%2C", ",").replaceAll("%25", "%"));
}
