import type { StepIndex } from "./step-index.js";
import type { EpisodeHeader, EpisodePage, EpisodeQuery } from "./types.js";

const DEFAULT_LIMIT = 100;

/** Steps from one to another, both included. */
export interface StepRange {
  from: number;
  to: number;
}

/** Steps that a query is about, and that are read together. */
export interface QueryPart {
  steps(): Promise<readonly StepIndex[]>;
  /** Their episodes; cheaper than reading the steps. */
  count(): Promise<number>;
}

/** The steps that a query is about. */
export function stepRange({ step }: EpisodeQuery): StepRange {
  if (typeof step === "number") return { from: step, to: step };
  return { from: step?.from ?? 0, to: step?.to ?? Number.POSITIVE_INFINITY };
}

/** Answers a query from the indices of its steps, in their order. */
export async function answer(parts: readonly QueryPart[], query: EpisodeQuery): Promise<EpisodePage> {
  const { offset = 0, limit = DEFAULT_LIMIT } = query;
  const page = <T>(all: readonly T[]) => all.slice(offset, offset + limit);
  const conditions = conditionsOf(query);
  const { sortBy, descending = false } = query;
  if (conditions.length === 0 && sortBy === undefined) return unfiltered(parts, offset, limit);
  const met: { step: StepIndex; index: number; value: SortValue }[] = [];
  for (const part of parts) {
    for (const step of await part.steps()) {
      for (let index = 0; index < step.episodes; index++) {
        const header = step.header(index);
        if (!conditions.every((condition) => condition(header))) continue;
        met.push({ step, index, value: sortBy === undefined ? null : header[sortBy] });
      }
    }
  }
  if (sortBy !== undefined) met.sort((a, b) => compare(a.value, b.value, descending));
  return { headers: page(met).map(({ step, index }) => step.header(index)), total: met.length };
}

/** What lies outside the page is counted, not read. */
async function unfiltered(parts: readonly QueryPart[], offset: number, limit: number): Promise<EpisodePage> {
  const headers: EpisodeHeader[] = [];
  let total = 0;
  for (const part of parts) {
    const count = await part.count();
    if (total + count <= offset || total >= offset + limit) {
      total += count;
      continue;
    }
    for (const step of await part.steps()) {
      const from = Math.max(offset - total, 0);
      const to = Math.min(offset + limit - total, step.episodes);
      for (let index = from; index < to; index++) headers.push(step.header(index));
      total += step.episodes;
    }
  }
  return { headers, total };
}

type SortValue = number | string | boolean | null;

function conditionsOf(query: EpisodeQuery): ((header: EpisodeHeader) => boolean)[] {
  const { group, taskId, sample, minReward, maxReward, success, dropped, marks = [], where } = query;
  const conditions: ((header: EpisodeHeader) => boolean)[] = [];
  if (group !== undefined) conditions.push((header) => header.group === group);
  if (taskId !== undefined) conditions.push((header) => header.taskId === taskId);
  if (sample !== undefined) conditions.push((header) => header.sample === sample);
  if (minReward !== undefined) conditions.push(({ reward }) => reward !== null && reward >= minReward);
  if (maxReward !== undefined) conditions.push(({ reward }) => reward !== null && reward <= maxReward);
  if (success !== undefined) conditions.push((header) => header.success === success);
  if (dropped !== undefined) conditions.push((header) => (header.dropped !== null) === dropped);
  if (marks.length > 0) conditions.push((header) => marks.every((mark) => header.marks.includes(mark)));
  if (where !== undefined) conditions.push(where);
  return conditions;
}

/** Nulls last in either direction. */
function compare(a: SortValue, b: SortValue, descending: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const order = a < b ? -1 : Number(a > b);
  return descending ? -order : order;
}
