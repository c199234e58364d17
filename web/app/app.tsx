import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { RunsReply } from "../../src/logview/api-types.js";
import { CurvesPage } from "../curves/curves-page.js";
import { EpisodesPage } from "../episodes/episodes-page.js";
import { RunsPage } from "../runs/runs-page.js";
import { TokensPage } from "../tokens/tokens-page.js";
import { get, useFetched } from "./api.js";
import { joinIds, link, type PageName, type Route, splitIds, useRoute } from "./route.js";
import { type Theme, useTheme } from "./theme.js";

/** Time between looks at the list of runs. */
const RUNS_MS = 2000;

const TITLES: Record<PageName, string> = { runs: "Runs", curves: "Curves", episodes: "Episodes", tokens: "Tokens" };

export function App() {
  const route = useRoute();
  const [theme, setTheme] = useTheme();
  const { data, error } = useFetched("runs", (signal) => get<RunsReply>("runs", {}, signal), RUNS_MS);
  useFocusOfPage(route);
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("content")?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <span class="brand">
          ajet<span class="brand-folder">{data?.folder ?? ""}</span>
        </span>
        <nav aria-label="Pages">{tabs(route, data)}</nav>
        <LiveState data={data} error={error} />
        <button type="button" class="quiet" onClick={() => setTheme(theme === "dark" ? "light" : "dark")}>
          {theme === "dark" ? "Light" : "Dark"}
        </button>
      </header>
      <main id="content" tabIndex={-1}>
        {error && (
          <p class="problem" role="alert">
            {error}
          </p>
        )}
        {data && <Page route={route} data={data} theme={theme} />}
      </main>
    </>
  );
}

/** What had the focus went with the last page: it goes on in the new one, where a screen reader reads on, too. */
function useFocusOfPage({ page, params }: Route): void {
  const shown = `${page} ${params.get("view") ?? ""}`;
  const last = useRef(shown);
  useEffect(() => {
    const isKept = document.activeElement?.matches("main input"); // what changed the view by itself
    if (last.current !== shown && !isKept) {
      document.getElementById("content")?.focus({ preventScroll: true });
    }
    last.current = shown;
  }, [shown]);
}

/** The page's link keeps what is chosen. */
function tabs({ page, params }: Route, data: RunsReply | undefined): ComponentChildren {
  const first = params.get("run") ?? splitIds(params.get("runs"))[0] ?? defaultRun(data);
  const runs = params.get("runs") ?? (first === null ? null : joinIds([first]));
  const targets: Record<PageName, string> = {
    runs: link("runs", {}),
    curves: link("curves", { runs }),
    episodes: link("episodes", { run: first, step: params.get("step") }),
    tokens: link("tokens", { run: first, key: params.get("key") }),
  };
  return (Object.keys(TITLES) as PageName[]).map((name) => (
    <a key={name} href={targets[name]} {...(name === page ? { "aria-current": "page" } : {})}>
      {TITLES[name]}
    </a>
  ));
}

/** The run that goes on, else the newest. */
export function defaultRun(data: RunsReply | undefined): string | null {
  return (data?.runs.find(({ status }) => status === "running") ?? data?.runs[0])?.id ?? null;
}

function LiveState({ data, error }: { data: RunsReply | undefined; error: string | undefined }) {
  const live = data?.runs.filter(({ status }) => status === "running").length ?? 0;
  return (
    <span class="live-state" role="status">
      {error ? (
        "offline"
      ) : live === 0 ? (
        ""
      ) : (
        <>
          <i class="live-dot" /> {live === 1 ? "1 run goes on" : `${live} runs go on`}
        </>
      )}
    </span>
  );
}

function Page({ route, data, theme }: { route: Route; data: RunsReply; theme: Theme }) {
  const { page, params } = route;
  const run = params.get("run") ?? defaultRun(data);
  document.title = `${TITLES[page]} · ${data.folder} · ajet`;
  if (data.runs.length === 0) return <Empty folder={data.folder} />;
  if (page === "curves")
    return <CurvesPage runs={data.runs} params={params} theme={theme} fallback={defaultRun(data)} />;
  if (page === "episodes" && run) return <EpisodesPage runs={data.runs} run={run} params={params} />;
  if (page === "tokens" && run) return <TokensPage runs={data.runs} run={run} params={params} />;
  return <RunsPage runs={data.runs} theme={theme} params={params} />;
}

function Empty({ folder }: { folder: string }) {
  return (
    <section class="empty">
      <h1>No run yet</h1>
      <p>
        There is no run below <code>{folder}</code>. <code>npx ajet train --with-logview</code> starts one and opens
        these pages; they fill as it goes on.
      </p>
    </section>
  );
}
