import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Timeline } from "../../src/logview/api-types.js";
import { visibleText } from "../../src/logview/tokens/visible-text.js";

interface CardProps {
  timeline: Timeline;
  token: number;
  /** Scrolls, and holds the token at `data-t`. */
  box: RefObject<HTMLElement | null>;
}

/** Everything about one token, beside it. */
export function TokenCard({ timeline, token, box }: CardProps) {
  const card = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const update = () => position(card.current, box.current, token);
    update();
    box.current?.addEventListener("scroll", update, { passive: true });
    return () => box.current?.removeEventListener("scroll", update);
  });
  const logprob = timeline.logprobs[token] ?? null;
  const facts: [string, string][] = [
    ["token", JSON.stringify(visibleText(timeline.texts[token] ?? ""))],
    ["id", String(timeline.ids[token])],
    ["position", String(token)],
    ["log-prob", logprob === null ? "–" : logprob.toFixed(5)],
    ["probability", logprob === null ? "–" : percentOf(Math.exp(logprob))],
    ["entropy", shownValue(timeline.entropies[token], " nats")],
    ["advantage", shownValue(timeline.advantages[token])],
    ["version", shownValue(timeline.versions[token])],
    ["loss", lossOf(timeline, token)],
  ];
  return (
    <div class="token-card card" ref={card} aria-hidden="true">
      <dl>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

/** Below the token, above it where there is no room; away while the token is scrolled out of sight. */
function position(card: HTMLElement | null, box: HTMLElement | null, token: number): void {
  const place = box?.querySelector(`[data-t="${token}"]`)?.getBoundingClientRect();
  const frame = box?.getBoundingClientRect();
  if (!card) return;
  card.hidden = !place || !frame || place.bottom < frame.top || place.top > frame.bottom;
  if (!place || card.hidden) return;
  const { width, height } = card.getBoundingClientRect();
  const isBelow = place.bottom + 8 + height < innerHeight;
  card.style.top = `${isBelow ? place.bottom + 8 : place.top - height - 8}px`;
  card.style.left = `${Math.max(8, Math.min(place.left, innerWidth - width - 12))}px`;
}

/** The same for a screen reader. */
export function tokenDescription(timeline: Timeline, token: number): string {
  const logprob = timeline.logprobs[token] ?? null;
  const text = JSON.stringify(timeline.texts[token] ?? "");
  const how = logprob === null ? "" : `, probability ${percentOf(Math.exp(logprob))}`;
  return `Token ${token}: ${text}, id ${timeline.ids[token]}${how}, ${lossOf(timeline, token)}`;
}

function lossOf({ inLoss, sampledBy }: Timeline, token: number): string {
  if (inLoss[token] === 1) return "in the loss";
  return (sampledBy[token] ?? -1) < 0 ? "outside: prompt" : "outside: sampled, but left out";
}

function percentOf(share: number): string {
  return share >= 0.0001 ? `${(100 * share).toFixed(2)} %` : `${(100 * share).toExponential(1)} %`;
}

function shownValue(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined) return "–";
  return `${Number.isInteger(value) ? value : value.toFixed(4)}${unit}`;
}
