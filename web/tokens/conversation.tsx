import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { EpisodeReply, Timeline } from "../../src/logview/api-types.js";
import { type Message, messagesOf } from "../../src/logview/tokens/messages.js";
import { type ColorBy, tokenClass } from "../../src/logview/tokens/token-color.js";
import { useVirtualList } from "../app/virtual-list.js";
import { type Line, layOut } from "./lines.js";
import { TokenCard, tokenDescription } from "./token-card.js";

/** Pixels; the style sheet has the same. */
const LINE = 23;
const HEAD = 38;
const LAST = LINE + 10;
/** Left and right of the tokens, the scroll bar included. */
const SIDES = 46;

interface ConversationProps {
  episode: EpisodeReply;
  timeline: Timeline;
  by: ColorBy;
  /** The token that the link names. */
  token: number | null;
  onToken: (token: number | null) => void;
}

/** A row as messages, token by token; only the lines that are seen are drawn. */
export function Conversation({ episode, timeline, by, token, onToken }: ConversationProps) {
  const box = useRef<HTMLDivElement>(null);
  const columns = useColumns(box);
  const messages = useMemo(() => messagesOf(timeline.texts, timeline.sampledBy), [timeline]);
  const [hidden, setHidden] = useState<ReadonlySet<number>>(new Set());
  const layout = useMemo(
    () => layOut(timeline.texts, messages, columns, hidden),
    [timeline, messages, columns, hidden],
  );
  const sizeOf = useCallback((index: number) => heightOf(layout.lines[index]), [layout]);
  const list = useVirtualList({ count: layout.lines.length, sizeOf, box, overscan: 20 });
  const [hovered, setHovered] = useState<number | null>(null);
  const shown = hovered ?? token;

  const reveal = (target: number, align: "auto" | "center") => list.scrollTo(layout.lineOfToken[target] ?? 0, align);
  // A link scrolls to its token when it is opened, not later.
  useEffect(() => {
    if (token !== null && token < timeline.ids.length) reveal(token, "center");
    else box.current?.scrollTo(0, 0);
  }, [timeline, columns]);

  const toggle = (index: number) => {
    const next = new Set(hidden);
    if (!next.delete(index)) next.add(index);
    setHidden(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = nextToken(event.key, token, layout.lines, layout.lineOfToken);
    if (next === undefined) return;
    event.preventDefault();
    setHovered(null);
    onToken(next);
    if (next !== null) reveal(next, "auto");
  };
  return (
    <>
      {/* biome-ignore lint/a11y/useKeyWithMouseEvents: the card follows the keys, too */}
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset */}
      <div
        class="conversation card"
        ref={box}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move from token to token
        tabIndex={0}
        role="group"
        aria-label={`Conversation of ${timeline.ids.length} tokens; arrow keys move from token to token`}
        onKeyDown={onKeyDown}
        onMouseOver={(event) => setHovered(tokenAt(event.target))}
        onMouseLeave={() => setHovered(null)}
        onClick={(event) => {
          const clicked = tokenAt(event.target);
          if (clicked !== null) onToken(clicked);
        }}
      >
        <div style={{ height: `${list.height}px`, position: "relative" }}>
          {list.items.map(({ index, start }) => {
            const line = layout.lines[index];
            return line ? (
              <div key={index} class={classOf(line, messages)} style={{ transform: `translateY(${start}px)` }}>
                {line.kind === "head" ? (
                  <Head
                    line={line}
                    episode={episode}
                    timeline={timeline}
                    isHidden={hidden.has(line.index)}
                    onToggle={toggle}
                  />
                ) : (
                  line.pieces.map(({ token: t, text }, i) => (
                    <span
                      key={i}
                      data-t={t}
                      class={t === token ? `${tokenClass(by, timeline, t)} chosen` : tokenClass(by, timeline, t)}
                    >
                      {text}
                    </span>
                  ))
                )}
              </div>
            ) : null;
          })}
        </div>
      </div>
      {/* Beside the box: within it, its containment would make places on the screen places in the box. */}
      {shown !== null && shown < timeline.ids.length && <TokenCard timeline={timeline} token={shown} box={box} />}
      <p class="unseen" aria-live="polite">
        {token !== null && token < timeline.ids.length ? tokenDescription(timeline, token) : ""}
      </p>
    </>
  );
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

function classOf(line: Line, messages: readonly Message[]): string {
  const index = line.kind === "head" ? line.index : line.message;
  const role = (messages[index]?.role ?? "").replace(/[^a-z]/gi, "").toLowerCase();
  return `line ${line.kind} role-${role}`;
}

function heightOf(line: Line | undefined): number {
  if (line?.kind === "head") return HEAD;
  return line?.isLast ? LAST : LINE;
}

function tokenAt(target: EventTarget | null): number | null {
  const found = target instanceof Element ? target.closest("[data-t]")?.getAttribute("data-t") : null;
  return found === null || found === undefined ? null : Number(found);
}

/** Where a key leads from a token: null lets go of it, undefined is no such key. */
function nextToken(
  key: string,
  token: number | null,
  lines: readonly Line[],
  lineOfToken: Int32Array,
): number | null | undefined {
  const last = lineOfToken.length - 1;
  const from = token ?? -1;
  if (key === "ArrowRight") return Math.min(last, from + 1);
  if (key === "ArrowLeft") return Math.max(0, from - 1);
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (key === "Escape") return null;
  const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -20, PageDown: 20 }[key];
  if (step === undefined) return undefined;
  if (token === null) return 0;
  const direction = Math.sign(step);
  let line = Math.max(0, Math.min(lines.length - 1, (lineOfToken[token] ?? 0) + step));
  for (; line >= 0 && line < lines.length; line += direction) {
    const found = lines[line];
    if (found?.kind === "tokens" && found.pieces[0] && found.pieces[0].token !== token) return found.pieces[0].token;
  }
  return token;
}

/** How many characters of the monospaced font stand side by side. */
function useColumns(box: preact.RefObject<HTMLElement | null>): number {
  const [columns, setColumns] = useState(80);
  useLayoutEffect(() => {
    const place = box.current;
    if (!place) return undefined;
    const probe = document.createElement("span");
    probe.className = "tok probe";
    probe.textContent = "0".repeat(100);
    place.append(probe);
    const width = probe.getBoundingClientRect().width / 100;
    probe.remove();
    const measure = () => setColumns(Math.max(20, Math.floor((place.clientWidth - SIDES) / width)));
    const observer = new ResizeObserver(measure);
    observer.observe(place);
    measure();
    return () => observer.disconnect();
  }, [box]);
  return columns;
}
