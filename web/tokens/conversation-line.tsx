import { Component } from "preact";
import type { EpisodeReply, Timeline } from "../../src/logview/api-types.js";
import { type ColorBy, tokenClass } from "../../src/logview/tokens/token-color.js";
import type { Line } from "./lines.js";

interface LineProps {
  line: Line;
  /** Pixels from the top of the conversation. */
  start: number;
  /** Of the message. */
  role: string;
  isHidden: boolean;
  /** The chosen token where it is on this line. */
  chosen: number | null;
  by: ColorBy;
  episode: EpisodeReply;
  timeline: Timeline;
  onToggle: (index: number) => void;
}

/** A line of a conversation. Of those that scrolling leaves in sight, none is drawn anew. */
export class ConversationLine extends Component<LineProps> {
  override shouldComponentUpdate(next: LineProps): boolean {
    return (Object.keys(next) as (keyof LineProps)[]).some((name) => next[name] !== this.props[name]);
  }

  override render({ line, start, role, isHidden, chosen, by, episode, timeline, onToggle }: LineProps) {
    const roleClass = `role-${role.replace(/[^a-z]/gi, "").toLowerCase()}`;
    return (
      <div class={`line ${line.kind} ${roleClass}`} style={{ transform: `translateY(${start}px)` }}>
        {line.kind === "head" ? (
          <Head line={line} episode={episode} timeline={timeline} isHidden={isHidden} onToggle={onToggle} />
        ) : (
          line.pieces.map(({ token, text }, i) => (
            <span
              key={i}
              data-t={token}
              class={token === chosen ? `${tokenClass(by, timeline, token)} chosen` : tokenClass(by, timeline, token)}
            >
              {text}
            </span>
          ))
        )}
      </div>
    );
  }
}

interface HeadProps {
  line: Line & { kind: "head" };
  episode: EpisodeReply;
  timeline: Timeline;
  isHidden: boolean;
  onToggle: (index: number) => void;
}

function Head({ line: { message, index }, episode, timeline, isHidden, onToggle }: HeadProps) {
  const sampled = timeline.sampledBy.slice(message.from, message.to).find((call) => call >= 0);
  const call = sampled === undefined ? undefined : episode.calls[sampled];
  return (
    <>
      <button type="button" class="quiet fold" aria-expanded={!isHidden} onClick={() => onToggle(index)}>
        {isHidden ? "▸" : "▾"} <b>{message.role}</b>
      </button>
      <span class="muted">{message.to - message.from} tokens</span>
      {call && (
        <>
          {call.agent && <span class="badge">{call.agent}</span>}
          <span class={`badge ${call.verdict.fate === "dropped" ? "warn" : "good"}`}>{verdictOf(call)}</span>
          <span class="muted">{call.finishReason.replace("_", " ")}</span>
        </>
      )}
    </>
  );
}

/** What the audit says of a call. */
export function verdictOf({ verdict }: EpisodeReply["calls"][number]): string {
  return verdict.fate === "dropped" ? `dropped: ${verdict.reason.replaceAll("_", " ")}` : verdict.fate;
}
