import type { EpisodeReply, EpisodesReply, Timeline } from "../../src/logview/api-types.js";
import { messagesOf } from "../../src/logview/tokens/messages.js";
import { tokenClass } from "../../src/logview/tokens/token-color.js";
import { visibleText } from "../../src/logview/tokens/visible-text.js";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { get, useFetched } from "../app/api.js";
import { decimal } from "../app/format.js";
import { link } from "../app/route.js";
import { Marks, Outcome } from "./outcome.js";

/** Columns that are drawn, and tokens of each. */
const MOST_COLUMNS = 32;
const MOST_TOKENS = 1500;

/** The episodes of a step's task, side by side. */
export function GroupView({ run, step, group }: { run: string; step: number; group: number }) {
  const { data, error } = useFetched(`${run}\n${step}\n${group}`, (signal) =>
    get<EpisodesReply>("episodes", { run, step, group, limit: MOST_COLUMNS, sortBy: "sample" }, signal),
  );
  if (error) return <p class="notice">{error}</p>;
  const first = data?.episodes[0];
  if (!data || !first) return <p class="muted">{data ? "There is no such group." : "…"}</p>;
  return (
    <section data-palette={localStorage.getItem("ajet-palette") ?? "seed"}>
      <div class="page-head">
        <h1>Task {first.taskId}</h1>
        <span class="muted">
          step {step}: {data.total} samples side by side
        </span>
        <a href={link("tokens", { run, key: first.key, view: "tree" })}>Token tree</a>
        <a href={link("episodes", { run, view: "task", taskId: first.taskId })}>This task across steps</a>
        <a href={link("episodes", { run })}>All episodes</a>
      </div>
      <div class="group-columns">
        {data.episodes.map((header) => (
          <Column key={header.key} run={run} header={header} />
        ))}
      </div>
    </section>
  );
}

function Column({ run, header }: { run: string; header: EpisodeHeader }) {
  const { data, error } = useFetched(`${run}\n${header.key}`, (signal) =>
    get<EpisodeReply>("episode", { run, key: header.key }, signal),
  );
  return (
    <article class="group-column card" aria-label={`Sample ${header.sample}`}>
      <header>
        <h2>
          <a href={link("tokens", { run, key: header.key })}>Sample {header.sample}</a>
        </h2>
        <Outcome header={header} />
        <b>{decimal(header.reward)}</b>
        <span class="muted">{header.advantage === null ? "" : `A ${decimal(header.advantage, 2)}`}</span>
      </header>
      <Marks marks={header.marks} />
      {data?.reason && <p class="reason">{data.reason}</p>}
      {error && <p class="notice">{error}</p>}
      {data?.timelines.map((timeline, i) => (
        <Reply key={i} timeline={timeline} />
      ))}
    </article>
  );
}

/** What came after the first prompt. */
function Reply({ timeline }: { timeline: Timeline }) {
  const from = Math.max(
    0,
    timeline.sampledBy.findIndex((call) => call >= 0),
  );
  const messages = messagesOf(timeline.texts, timeline.sampledBy).filter(({ to }) => to > from);
  return (
    <div class="compact">
      {messages.map((message) => {
        const first = Math.max(from, message.from);
        const last = Math.min(message.to, from + MOST_TOKENS);
        return (
          <div key={message.from}>
            <p class="muted">{message.role}</p>
            <pre>
              {timeline.texts.slice(first, last).map((text, i) => (
                <span key={i} class={tokenClass("logprob", timeline, first + i)}>
                  {visibleText(text)}
                </span>
              ))}
            </pre>
          </div>
        );
      })}
    </div>
  );
}
