import { join } from "node:path";
import { TokenLogReader } from "../../src/report/token-log/reader.js";

/** The episodes of a run's token log, headers and bodies in one object each, without what a clock decides. */
// biome-ignore lint/suspicious/noExplicitAny: what tests look into
export async function loggedEpisodes(run: string): Promise<any[]> {
  await using reader = await TokenLogReader.open(join(run, "tokens"));
  const { headers } = await reader.list({ limit: Number.POSITIVE_INFINITY });
  const episodes: object[] = [];
  for (const { key } of headers) {
    const { header, vocabulary, calls, toolCalls, ...episode } = await reader.episode(key);
    const { calls: _, toolCalls: made, wallMs, ...timeless } = header;
    episodes.push({
      ...timeless,
      ...episode,
      calls: calls.map(({ startMs, endMs, ...call }) => call),
      toolCalls: toolCalls.map(({ ms, ...call }) => call),
    });
  }
  return episodes;
}
