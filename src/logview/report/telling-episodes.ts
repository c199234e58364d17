import type { EpisodeHeader, EpisodeMark, EpisodeQuery, TokenLogReading } from "../../report/token-log/types.js";
import { showsGood } from "../episode-query.js";

/** An episode worth reading, and why. */
export interface TellingEpisode {
  header: EpisodeHeader;
  why: string;
}

/** A way to find one. */
interface Search {
  why: string;
  query: EpisodeQuery;
}

const REASONS: readonly [EpisodeMark, string][] = [
  ["no_print", "An early one that calls the tool without `print`, and learns nothing from it"],
  ["early_answer", "An early one that answers before a tool has"],
  ["malformed_call", "An early one with a malformed tool call"],
  ["tool_error", "An early one whose tool call fails"],
  ["cut_off", "An early one that is cut off at its token limit"],
];

const LATE: EpisodeQuery = { sortBy: "step", descending: true };

/** In the order of the story: what went wrong at first, what was learned, what still goes wrong. */
const SEARCHES: readonly Search[] = [
  ...REASONS.map(([mark, why]) => ({ why, query: { marks: [mark], sortBy: "step" as const } })),
  { why: "A rare success within its group: the largest advantage", query: { sortBy: "advantage", descending: true } },
  { why: "A rare failure within its group: the smallest advantage", query: { sortBy: "advantage" } },
  { why: "A late one that calls the tool, reads its output and answers", query: { ...LATE, where: showsGood } },
  { why: "The last success", query: { ...LATE, success: true } },
  { why: "What still fails at the end", query: { ...LATE, success: false, dropped: false } },
  { why: "The longest conversation", query: { sortBy: "length", descending: true } },
  { why: "One that was dropped", query: { dropped: true } },
];

/** Episodes that are looked through for one that is not taken yet. */
const LOOKED_THROUGH = 40;

/** Up to `count` episodes that show what the run learned; none twice. */
export async function tellingEpisodes(log: TokenLogReading, count: number): Promise<TellingEpisode[]> {
  const taken: TellingEpisode[] = [];
  const searches = [...SEARCHES, ...Array<Search>(count).fill({ why: "One of the last step", query: LATE })];
  for (const { why, query } of searches) {
    if (taken.length >= count) break;
    const { headers } = await log.list({ ...query, limit: LOOKED_THROUGH });
    const header = headers.find(({ key, calls }) => calls > 0 && !taken.some((one) => one.header.key === key));
    if (header) taken.push({ header, why });
  }
  return taken;
}
