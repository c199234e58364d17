/** An order of candidates, which are counted from 0. */
export interface Ranking {
  /** Level of each candidate; 0 is the best, and equals share one. */
  levels: number[];
  acceptable: ReadonlySet<number>;
}

/**
 * Reads `{"ranking": [[2], [1, 3]], "acceptable": [2]}` out of a reply, whatever stands around it. Candidates count from 1
 * there; a flat list has no equals.
 * @throws where that is missing, or where the ranking does not have each candidate once.
 */
export function parseRanking(reply: string, candidates: number): Ranking {
  const { ranking, acceptable } = jsonObject(reply);
  if (!Array.isArray(ranking) || !Array.isArray(acceptable)) throw problem("`ranking` and `acceptable`", reply);
  const levels: (number | undefined)[] = Array.from({ length: candidates }, () => undefined);
  for (const [level, entry] of ranking.entries()) {
    for (const number of Array.isArray(entry) ? entry : [entry]) {
      const index = indexOf(number, candidates, reply);
      if (levels[index] !== undefined) throw problem(`candidate ${index + 1} once`, reply);
      levels[index] = level;
    }
  }
  const missing = levels.indexOf(undefined);
  if (missing >= 0) throw problem(`candidate ${missing + 1} in the ranking`, reply);
  return {
    levels: levels as number[],
    acceptable: new Set(acceptable.map((number) => indexOf(number, candidates, reply))),
  };
}

function jsonObject(reply: string): Record<string, unknown> {
  const text = reply.slice(reply.indexOf("{"), reply.lastIndexOf("}") + 1);
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw problem("a JSON object", reply);
  }
}

function indexOf(number: unknown, candidates: number, reply: string): number {
  const index = Number(number) - 1;
  if (!Number.isInteger(index) || index < 0 || index >= candidates) throw problem(`numbers up to ${candidates}`, reply);
  return index;
}

function problem(expected: string, reply: string): Error {
  return new Error(`Expected ${expected} in the LLM's reply but received ${JSON.stringify(reply)}`);
}
