import type { EpisodeHeader, EpisodeMark } from "../../src/report/token-log/types.js";
import { CASES, MARK_LABELS } from "./cases.js";

/** Success, half a success, failure, or why it was dropped. */
export function Outcome({ header: { dropped, tag } }: { header: EpisodeHeader }) {
  if (dropped !== null) return <span class="badge stopped">dropped: {dropped}</span>;
  const tone = { success: "good", half_success: "warn", failure: "bad" }[tag];
  return <span class={`badge ${tone}`}>{tag.replace("_", " ")}</span>;
}

/** What the replies of an episode show. */
export function Marks({ marks }: { marks: readonly EpisodeMark[] }) {
  return (
    <>
      {marks.map((mark) => {
        const found = CASES.find(({ id }) => id === mark);
        return (
          <span key={mark} class={`mark ${found?.tone ?? "warn"}`} title={found?.title}>
            {MARK_LABELS[mark] ?? mark}
          </span>
        );
      })}
    </>
  );
}
