import { useState } from "preact/hooks";
import type { TreeReply } from "../../src/logview/api-types.js";
import { visibleText } from "../../src/logview/tokens/visible-text.js";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { get, useFetched } from "../app/api.js";
import { count, decimal } from "../app/format.js";
import { link } from "../app/route.js";
import { type DrawnNode, drawnNodes } from "./tree-layout.js";

/** Tokens of a node that are shown before it is unfolded: its beginning and its end. */
const SHOWN = 90;

/** All token sequences of the group; what several have in common stands once. */
export function TreeView({ run, header }: { run: string; header: EpisodeHeader }) {
  const { step, group } = header;
  const { data, error } = useFetched(`${run}\n${step}\n${group}`, (signal) =>
    get<TreeReply>("tree", { run, step, group }, signal),
  );
  if (error) return <p class="notice">{error}</p>;
  if (!data) return <p class="muted">…</p>;
  const nodes = drawnNodes(data);
  const tokens = nodes.reduce((sum, { node }) => sum + node.ids.length, 0);
  const saved = nodes.reduce((sum, one) => sum + one.saved, 0);
  return (
    <div class="tree card">
      <p class="tree-sum">
        <b>{count(tokens)}</b> tokens stand for <b>{count(tokens + saved)}</b>: what the {data.episodes.length} episodes
        have in common is computed once.
      </p>
      <ul>
        {nodes.map((one) => (
          <Node key={one.index} drawn={one} episodes={data.episodes} run={run} own={header.sample} />
        ))}
      </ul>
    </div>
  );
}

interface NodeProps {
  drawn: DrawnNode;
  episodes: readonly EpisodeHeader[];
  run: string;
  own: number;
}

function Node({ drawn: { node, depth }, episodes, run, own }: NodeProps) {
  const [isOpen, setOpen] = useState(false);
  const { texts, samples, start } = node;
  const through = samples.flatMap((sample) => episodes.filter((episode) => episode.sample === sample));
  const rewards = through.flatMap(({ reward }) => (reward === null ? [] : [reward]));
  const mean = rewards.reduce((sum, reward) => sum + reward, 0) / Math.max(1, rewards.length);
  const isLong = texts.length > SHOWN && !isOpen;
  const half = SHOWN / 2;
  return (
    <li class={`node${samples.includes(own) ? " own" : ""}`} style={{ marginLeft: `${Math.min(depth, 12) * 26}px` }}>
      <p class="node-head">
        <span class="muted">
          {start}–{start + texts.length}
        </span>
        <b>{samples.length === 1 ? "1 sample" : `${samples.length} samples`}</b>
        <span class="reward-bar" title={`mean reward ${decimal(mean)}`}>
          <i style={{ width: `${Math.max(0, Math.min(1, mean)) * 100}%` }} />
        </span>
        {through.map(({ key, sample, reward, tag, dropped }) => (
          <a
            key={key}
            class={`sample-cell ${dropped ? "dropped" : tag}`}
            href={link("tokens", { run, key, view: "tree" })}
            title={`reward ${reward ?? "none"}`}
          >
            {sample}
          </a>
        ))}
      </p>
      <pre class="node-text">
        <Tokens texts={isLong ? texts.slice(0, half) : texts} />
        {isLong && (
          <>
            <button type="button" class="quiet" onClick={() => setOpen(true)}>
              … {texts.length - SHOWN} more tokens …
            </button>
            <Tokens texts={texts.slice(-half)} />
          </>
        )}
      </pre>
    </li>
  );
}

function Tokens({ texts }: { texts: readonly string[] }) {
  return (
    <>
      {texts.map((text, i) => (
        <span key={i} class="plain-tok">
          {visibleText(text)}
        </span>
      ))}
    </>
  );
}
