import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { EpisodeReply, Timeline } from "../../src/logview/api-types.js";
import { messagesOf } from "../../src/logview/tokens/messages.js";
import type { ColorBy } from "../../src/logview/tokens/token-color.js";
import { useVirtualList } from "../app/virtual-list.js";
import { ConversationLine } from "./conversation-line.js";
import { type Line, layOut } from "./lines.js";
import { TokenCard, tokenDescription } from "./token-card.js";

/** Pixels; the style sheet has the same. */
const LINE = 23;
const HEAD = 38;
const LAST = LINE + 10;
/** Left and right of the tokens, the scroll bar included. */
const SIDES = 46;
/** Lines above and below those that are seen: what a wheel scrolls by within a frame or two. */
const OVERSCAN = 8;
/** Tokens that pass below a pointer at rest are not pointed at. */
const POINTER_RESTS_MS = 150;

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
  const list = useVirtualList({ count: layout.lines.length, sizeOf, box, overscan: OVERSCAN });
  const [hovered, setHovered] = useState<number | null>(null);
  const scrolled = useRef(Number.NEGATIVE_INFINITY);
  const shown = hovered ?? token;

  const reveal = (target: number, align: "auto" | "center") => list.scrollTo(layout.lineOfToken[target] ?? 0, align);
  // A link scrolls to its token when it is opened, not later.
  useEffect(() => {
    if (token !== null && token < timeline.ids.length) reveal(token, "center");
    else box.current?.scrollTo(0, 0);
  }, [timeline, columns]);

  const toggle = useCallback(
    (index: number) =>
      setHidden((old) => {
        const next = new Set(old);
        if (!next.delete(index)) next.add(index);
        return next;
      }),
    [],
  );
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
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset */}
      <div
        class="conversation card"
        ref={box}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the arrow keys move from token to token
        tabIndex={0}
        role="group"
        aria-label={`Conversation of ${timeline.ids.length} tokens; arrow keys move from token to token`}
        onKeyDown={onKeyDown}
        onScroll={() => {
          scrolled.current = performance.now();
          setHovered(null);
        }}
        onMouseMove={(event) => {
          if (performance.now() - scrolled.current > POINTER_RESTS_MS) setHovered(tokenAt(event.target));
        }}
        onMouseLeave={() => setHovered(null)}
        onClick={(event) => {
          const clicked = tokenAt(event.target);
          if (clicked !== null) onToken(clicked);
        }}
      >
        <div style={{ height: `${list.height}px`, position: "relative" }}>
          {list.items.map(({ index, start }) => {
            const line = layout.lines[index];
            const holdsChosen = line?.kind === "tokens" && line.pieces.some((piece) => piece.token === token);
            return line ? (
              <ConversationLine
                key={index}
                line={line}
                start={start}
                role={messages[line.kind === "head" ? line.index : line.message]?.role ?? ""}
                isHidden={line.kind === "head" && hidden.has(line.index)}
                chosen={holdsChosen ? token : null}
                by={by}
                episode={episode}
                timeline={timeline}
                onToggle={toggle}
              />
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
