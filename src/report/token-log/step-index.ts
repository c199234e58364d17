import type { RecordPlace } from "./blocks.js";
import type { FramePlace } from "./frames.js";
import { toJson } from "./record.js";
import type { EpisodeHeader, EpisodeMark, EpisodeTag } from "./types.js";
import type { TokenVocabulary } from "./vocabulary.js";

export const TAGS: readonly EpisodeTag[] = ["success", "half_success", "failure"];
/** Bit i of the column `marks` stands for mark i; new ones go behind. */
export const MARKS: readonly EpisodeMark[] = ["no_print", "early_answer", "malformed_call", "tool_error", "cut_off"];
const DROPPED: readonly NonNullable<EpisodeHeader["dropped"]>[] = ["workflow", "judge", "timeout", "stalled", "exited"];

/** A step's index as JSON: a column per field of the headers, and the places of the records within the step. */
export interface IndexColumns {
  step: number;
  /** Per block; `at` counts from the step's first byte. */
  blocks: { at: number[]; bytes: number[] };
  /** Per group. */
  groups: { task_id: string[]; block: number[]; offset: number[] };
  /** Per episode. */
  episodes: Record<Column, number[]> & { reward: (number | null)[]; advantage: (number | null)[] };
  /** Tokens that the segment's steps before did not have: their bytes, one after the other, in base64. */
  tokens: { id: number[]; length: number[]; bytes: string };
}

/** An {@link IndexColumns} as it is kept: of 100,000 episodes, numbers in arrays of their own take half the memory. */
interface KeptColumns extends Omit<IndexColumns, "tokens" | "episodes"> {
  episodes: Record<Column, ArrayLike<number>> & Record<"reward" | "advantage", ArrayLike<number | null>>;
}

type Column =
  | "group"
  | "sample"
  | "success"
  | "tag"
  | "dropped"
  | "marks"
  | "attempts"
  | "calls"
  | "calls_trained"
  | "length"
  | "sampled_tokens"
  | "loss_tokens"
  | "tool_calls"
  | "tool_errors"
  | "forks"
  | "version"
  | "wall_ms"
  | "block"
  | "offset";

const FIELDS: Record<Column | "reward" | "advantage", (header: EpisodeHeader, place: RecordPlace) => number | null> = {
  group: ({ group }) => group,
  sample: ({ sample }) => sample,
  reward: ({ reward }) => reward,
  success: ({ success }) => Number(success),
  tag: ({ tag }) => TAGS.indexOf(tag),
  advantage: ({ advantage }) => advantage,
  dropped: ({ dropped }) => (dropped === null ? -1 : DROPPED.indexOf(dropped)),
  marks: ({ marks }) => marks.reduce((bits, mark) => bits | (1 << MARKS.indexOf(mark)), 0),
  attempts: ({ attempts }) => attempts,
  calls: ({ calls }) => calls,
  calls_trained: ({ callsTrained }) => callsTrained,
  length: ({ length }) => length,
  sampled_tokens: ({ sampledTokens }) => sampledTokens,
  loss_tokens: ({ lossTokens }) => lossTokens,
  tool_calls: ({ toolCalls }) => toolCalls,
  tool_errors: ({ toolErrors }) => toolErrors,
  forks: ({ forks }) => forks,
  version: ({ version }) => version,
  wall_ms: ({ wallMs }) => Math.round(wallMs * 10) / 10,
  block: (_, { block }) => block,
  offset: (_, { offset }) => offset,
};

/** Names of the episodes' columns. */
export const EPISODE_COLUMNS: readonly string[] = Object.keys(FIELDS);

/** @param newTokens Ids that the segment's vocabulary lacks. */
export function encodeIndex(
  step: number,
  blocks: readonly FramePlace[],
  groups: readonly { taskId: string; place: RecordPlace }[],
  episodes: readonly { header: EpisodeHeader; place: RecordPlace }[],
  newTokens: readonly { id: number; bytes: Uint8Array }[],
): string {
  const columns = Object.entries(FIELDS).map(([name, read]) => [
    name,
    episodes.map(({ header, place }) => read(header, place)),
  ]);
  return toJson({
    step,
    blocks: { at: blocks.map(({ offset }) => offset), bytes: blocks.map(({ length }) => length) },
    groups: {
      task_id: groups.map(({ taskId }) => taskId),
      block: groups.map(({ place }) => place.block),
      offset: groups.map(({ place }) => place.offset),
    },
    episodes: Object.fromEntries(columns),
    tokens: {
      id: newTokens.map(({ id }) => id),
      length: newTokens.map(({ bytes }) => bytes.length),
      bytes: Buffer.concat(newTokens.map(({ bytes }) => bytes)).toString("base64"),
    },
  } satisfies Record<keyof IndexColumns, unknown>);
}

/** A step as a reader keeps it: columns, of which it makes a header when one is wanted. */
export class StepIndex {
  readonly step: number;
  readonly episodes: number;
  readonly groups: number;

  /**
   * @param start First byte of the step in its segment.
   * @param bytes On disk.
   * @param checksum Of its index.
   */
  constructor(
    private readonly columns: KeptColumns,
    readonly start: number,
    readonly bytes: number,
    readonly checksum: number,
  ) {
    this.step = columns.step;
    this.episodes = columns.episodes.sample.length;
    this.groups = columns.groups.task_id.length;
  }

  /** @throws RangeError where the step has no such episode. */
  header(index: number): EpisodeHeader {
    const { groups, episodes: of } = this.columns;
    const at = (column: ArrayLike<number>) => column[index] as number;
    if (of.sample[index] === undefined) throw new RangeError(`Step ${this.step} has no episode ${index}`);
    const dropped = at(of.dropped);
    const marks = at(of.marks);
    return {
      key: `${this.step}.${index}`,
      step: this.step,
      index,
      group: at(of.group),
      taskId: groups.task_id[at(of.group)] as string,
      sample: at(of.sample),
      reward: of.reward[index] ?? null,
      success: at(of.success) === 1,
      tag: TAGS[at(of.tag)] as EpisodeTag,
      advantage: of.advantage[index] ?? null,
      dropped: DROPPED[dropped] ?? null,
      marks: MARKS.filter((_, bit) => marks & (1 << bit)),
      attempts: at(of.attempts),
      calls: at(of.calls),
      callsTrained: at(of.calls_trained),
      length: at(of.length),
      sampledTokens: at(of.sampled_tokens),
      lossTokens: at(of.loss_tokens),
      toolCalls: at(of.tool_calls),
      toolErrors: at(of.tool_errors),
      forks: at(of.forks),
      version: at(of.version),
      wallMs: at(of.wall_ms),
    };
  }

  /** The place of an episode's record. */
  episodePlace(index: number): RecordPlace {
    const { block, offset } = this.columns.episodes;
    return { block: block[index] as number, offset: offset[index] as number };
  }

  /** The place of a group's record; undefined where the step has no such group. */
  groupPlace(group: number): RecordPlace | undefined {
    const { block, offset } = this.columns.groups;
    return block[group] === undefined ? undefined : { block: block[group], offset: offset[group] as number };
  }

  /** The place of a block in the segment. @throws RangeError where the step has no such block. */
  blockPlace(block: number): FramePlace {
    const { at, bytes } = this.columns.blocks;
    if (at[block] === undefined) throw new RangeError(`Step ${this.step} has no block ${block}`);
    return { offset: this.start + at[block], length: bytes[block] as number };
  }

  taskId(group: number): string {
    return this.columns.groups.task_id[group] as string;
  }
}

/** Takes the new tokens out of a step's index, and the columns. */
export function decodeIndex({ tokens, episodes, ...columns }: IndexColumns, vocabulary: TokenVocabulary): KeptColumns {
  const bytes = Buffer.from(tokens.bytes, "base64");
  let offset = 0;
  for (const [i, id] of tokens.id.entries()) {
    const end = offset + (tokens.length[i] as number);
    vocabulary.add(id, bytes.subarray(offset, end));
    offset = end;
  }
  const kept = Object.entries(episodes).map(([name, values]) => [name, compact(values)]);
  return { ...columns, episodes: Object.fromEntries(kept) };
}

function compact(values: readonly (number | null)[]): ArrayLike<number | null> {
  return values.every((value) => value !== null && value === (value | 0))
    ? Int32Array.from(values as number[])
    : values;
}
