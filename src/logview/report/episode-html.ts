import type { LoggedEpisode } from "../../report/token-log/types.js";
import type { Timeline } from "../api-types.js";
import { escaped } from "../curves/curve-svg.js";
import { timelines } from "../timelines.js";
import { messagesOf } from "../tokens/messages.js";
import { tokenClass } from "../tokens/token-color.js";
import { visibleText } from "../tokens/visible-text.js";
import type { TellingEpisode } from "./telling-episodes.js";

/** Tokens of an episode that are printed. */
const MOST_TOKENS = 1500;

/** One episode: what it came to, and its tokens in their colours. The prompt before the first reply is folded away. */
export function episodeHtml({ header, why }: TellingEpisode, episode: LoggedEpisode): string {
  const outcome = header.dropped ?? header.tag.replace("_", " ");
  const tone =
    header.dropped !== null ? "stopped" : { success: "good", half_success: "warn", failure: "bad" }[header.tag];
  const facts = [
    `step ${header.step}`,
    `task ${header.taskId}`,
    `sample ${header.sample}`,
    header.reward === null ? "no reward" : `reward ${header.reward.toFixed(3)}`,
    ...(header.advantage === null ? [] : [`advantage ${header.advantage.toFixed(2)}`]),
    ...header.marks.map((mark) => mark.replaceAll("_", " ")),
  ];
  const tools = episode.toolCalls.map(
    ({ name, arguments: input, output, isError }) =>
      `<details class="tool"><summary><b>${escaped(name)}</b>${isError ? ' <span class="badge bad">error</span>' : ""}</summary>` +
      `<pre>${shown(input)}</pre><pre>${shown(output ?? "(no answer)")}</pre></details>`,
  );
  return [
    `<article class="card episode"><h3>${escaped(why)}</h3>`,
    `<p><span class="badge ${tone}">${escaped(outcome)}</span> <span class="muted">${escaped(facts.join(" · "))}</span></p>`,
    episode.reason === undefined ? "" : `<p class="reason">${shown(episode.reason)}</p>`,
    ...timelines(episode).slice(0, 3).map(timelineHtml),
    ...tools,
    "</article>",
  ].join("\n");
}

function timelineHtml(timeline: Timeline): string {
  const first = Math.max(
    0,
    timeline.sampledBy.findIndex((call) => call >= 0),
  );
  const end = Math.min(timeline.ids.length, first + MOST_TOKENS);
  const rest = timeline.ids.length - end;
  const messages = messagesOf(timeline.texts, timeline.sampledBy).filter(({ from, to }) => to > first && from < end);
  const parts = messages.map(({ role, from, to }) => {
    const tokens = tokensHtml(timeline, Math.max(first, from), Math.min(end, to));
    return `<p class="muted">${escaped(role)}</p><pre>${tokens}</pre>`;
  });
  return (
    `<div class="compact"><details><summary class="muted">${first} tokens of the prompt</summary>` +
    `<pre>${tokensHtml(timeline, 0, Math.min(first, MOST_TOKENS))}</pre></details>${parts.join("")}` +
    `${rest > 0 ? `<p class="muted">and ${rest} tokens more</p>` : ""}</div>`
  );
}

function tokensHtml(timeline: Timeline, from: number, to: number): string {
  return timeline.texts
    .slice(from, to)
    .map((text, i) => `<span class="${tokenClass("logprob", timeline, from + i)}">${shown(text)}</span>`)
    .join("");
}

function shown(text: string): string {
  return escaped(visibleText(text));
}
