import type { LoggedCall, LoggedEpisode } from "../report/token-log/types.js";
import type { Timeline } from "./api-types.js";

/**
 * An episode's rows: one for each call that no other call goes on from, with everything that is known of its tokens. A
 * token that an earlier turn sampled is marked as that turn recorded it.
 */
export function timelines({ calls, vocabulary }: Pick<LoggedEpisode, "calls" | "vocabulary">): Timeline[] {
  const paths = calls.map(({ promptIds, sampledIds }) => joined(promptIds, sampledIds));
  const contains = (outer: number, inner: number) => isPrefix(paths[inner] as Int32Array, paths[outer] as Int32Array);
  const leaves = paths.flatMap((path, i) => {
    const goesOn = paths.some(
      (other, j) => j !== i && contains(j, i) && (other.length > path.length || j < i), // of equal ones, the first
    );
    return goesOn ? [] : [i];
  });
  return leaves.map((leaf) => {
    const ids = paths[leaf] as Int32Array;
    const own = calls.flatMap((_, i) => (contains(leaf, i) ? [i] : []));
    const timeline = empty(ids, vocabulary.texts(ids), own);
    for (const index of own) mark(timeline, calls[index] as LoggedCall, index);
    return timeline;
  });
}

function empty(ids: Int32Array, texts: string[], calls: number[]): Timeline {
  const nothing = () => new Array<number | null>(ids.length).fill(null);
  return {
    calls,
    ids: [...ids],
    texts,
    sampledBy: new Array<number>(ids.length).fill(-1),
    logprobs: nothing(),
    entropies: nothing(),
    inLoss: new Array<number>(ids.length).fill(0),
    advantages: nothing(),
    versions: nothing(),
  };
}

function mark(timeline: Timeline, call: LoggedCall, index: number): void {
  for (let i = 0; i < call.sampledIds.length; i++) {
    const at = call.promptIds.length + i;
    if (timeline.sampledBy[at] !== -1) continue;
    const isInLoss = call.inLoss[i] === 1;
    timeline.sampledBy[at] = index;
    timeline.logprobs[at] = rounded(call.logprobs[i]);
    timeline.entropies[at] = rounded(call.entropies[i]);
    timeline.inLoss[at] = isInLoss ? 1 : 0;
    timeline.advantages[at] = isInLoss ? rounded(call.advantage) : null;
    timeline.versions[at] = call.firstVersion === call.lastVersion || i === 0 ? call.firstVersion : call.lastVersion;
  }
}

/** Six digits are enough to look at, and a third of the bytes. */
function rounded(value: number | null | undefined): number | null {
  return value === null || value === undefined || !Number.isFinite(value) ? null : Number(value.toPrecision(6));
}

function joined(a: Int32Array, b: Int32Array): Int32Array {
  const whole = new Int32Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

function isPrefix(prefix: Int32Array, whole: Int32Array): boolean {
  if (prefix.length > whole.length || prefix.at(-1) !== whole[prefix.length - 1]) return false;
  return prefix.every((id, i) => id === whole[i]);
}
