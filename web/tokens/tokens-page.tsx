import { useState } from "preact/hooks";
import type { EpisodeReply, EpisodesReply, RunInfo } from "../../src/logview/api-types.js";
import { COLOR_BYS, type ColorBy } from "../../src/logview/tokens/token-color.js";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { get, useFetched } from "../app/api.js";
import { joinIds, link, setParams } from "../app/route.js";
import { Conversation } from "./conversation.js";
import { EpisodeFacts } from "./episode-facts.js";
import { TokenLegend } from "./legend.js";
import { TreeView } from "./tree-view.js";

interface TokensProps {
  runs: readonly RunInfo[];
  run: string;
  params: URLSearchParams;
}

const PALETTE_KEY = "ajet-palette";

/** One episode, token by token. Without a key in the link, the run's newest. */
export function TokensPage({ run, params }: TokensProps) {
  const key = params.get("key");
  const newest = useFetched(key === null ? run : null, (signal) =>
    get<EpisodesReply>("episodes", { run, sortBy: "step", descending: "true", limit: 1 }, signal),
  );
  const wanted = key ?? newest.data?.episodes[0]?.key ?? null;
  const { data, error } = useFetched(wanted === null ? null : `${run}\n${wanted}`, (signal) =>
    get<EpisodeReply>("episode", { run, key: wanted }, signal),
  );
  const problem = error ?? newest.error ?? (newest.data?.total === 0 ? "There is no episode yet." : undefined);
  if (problem) return <p class="notice">{problem}</p>;
  return data && data.header.key === wanted ? (
    <Episode run={run} episode={data} params={params} />
  ) : (
    <p class="muted">…</p>
  );
}

function Episode({ run, episode, params }: { run: string; episode: EpisodeReply; params: URLSearchParams }) {
  const { header, timelines } = episode;
  const [palette, setPalette] = useState(() => localStorage.getItem(PALETTE_KEY) ?? "seed");
  const by = COLOR_BYS.find((name) => name === params.get("color")) ?? "logprob";
  const index = Math.min(whole(params.get("row")) ?? 0, timelines.length - 1);
  const timeline = timelines[index];
  const isTree = params.get("view") === "tree";
  const choose = (next: string) => {
    localStorage.setItem(PALETTE_KEY, next);
    setPalette(next);
  };
  return (
    <section class="full-height tokens-page" data-palette={palette}>
      <div class="page-head">
        <h1>
          Task {header.taskId}, sample {header.sample}
        </h1>
        <span class="muted">
          step {header.step} of <a href={link("curves", { runs: joinIds([run]) })}>{run}</a>
        </span>
        <Neighbours run={run} header={header} params={params} />
      </div>
      <div class="toolbar">
        <fieldset class="segmented">
          <legend class="unseen">View</legend>
          <Choice
            name="view"
            value=""
            chosen={!isTree}
            label="Conversation"
            onChoose={() => setParams({ view: null })}
          />
          <Choice
            name="view"
            value="tree"
            chosen={isTree}
            label="Group's token tree"
            onChoose={() => setParams({ view: "tree" })}
          />
        </fieldset>
        {!isTree && (
          <>
            <label>
              colour by
              <select
                value={by}
                onChange={(event) =>
                  setParams({ color: event.currentTarget.value === "logprob" ? null : event.currentTarget.value })
                }
              >
                {COLOR_BYS.map((name: ColorBy) => (
                  <option key={name} value={name}>
                    {name === "logprob" ? "log-prob" : name}
                  </option>
                ))}
              </select>
            </label>
            <label>
              palette
              <select value={palette} onChange={(event) => choose(event.currentTarget.value)}>
                <option value="seed">yellow and blue</option>
                <option value="safe">for colour blindness</option>
              </select>
            </label>
            {timelines.length > 1 && (
              <label>
                row
                <select
                  value={String(index)}
                  onChange={(event) => setParams({ row: event.currentTarget.value, token: null })}
                >
                  {timelines.map(({ calls, ids }, i) => (
                    <option key={i} value={String(i)}>
                      {i + 1} of {timelines.length}: {calls.length} calls, {ids.length} tokens
                    </option>
                  ))}
                </select>
              </label>
            )}
            <TokenLegend by={by} />
          </>
        )}
      </div>
      <div class="tokens-body">
        {isTree ? (
          <TreeView run={run} header={header} />
        ) : timeline ? (
          <Conversation
            key={`${header.key} ${index}`}
            episode={episode}
            timeline={timeline}
            by={by}
            token={whole(params.get("token")) ?? null}
            onToken={(token) => setParams({ key: header.key, token })}
          />
        ) : (
          <p class="notice">The episode made no call.</p>
        )}
        <EpisodeFacts run={run} episode={episode} />
      </div>
    </section>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  chosen: boolean;
  label: string;
  onChoose: () => void;
}

function Choice({ name, value, chosen, label, onChoose }: ChoiceProps) {
  return (
    <label class={chosen ? "on" : ""}>
      <input type="radio" name={name} value={value} checked={chosen} onChange={onChoose} /> {label}
    </label>
  );
}

/** The other samples of the group. */
function Neighbours({ run, header, params }: { run: string; header: EpisodeHeader; params: URLSearchParams }) {
  const { step, group } = header;
  const { data } = useFetched(`${run}\n${step}\n${group}`, (signal) =>
    get<EpisodesReply>("episodes", { run, step, group, limit: 100 }, signal),
  );
  return (
    <nav class="neighbours" aria-label="Samples of the group">
      {data?.episodes.map((other) => (
        <a
          key={other.key}
          class={`sample-cell ${other.dropped ? "dropped" : other.tag}`}
          href={link("tokens", { run, key: other.key, view: params.get("view"), color: params.get("color") })}
          title={`sample ${other.sample}: reward ${other.reward ?? "none"}`}
          {...(other.key === header.key ? { "aria-current": "true" as const } : {})}
        >
          {other.sample}
        </a>
      ))}
    </nav>
  );
}

function whole(text: string | null): number | undefined {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
