/** GPT-2's printable stand-in for every byte, as byte-level tokenizers write them. */
export const BYTE_SYMBOLS: readonly string[] = (() => {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();

/** Words as in Qwen's tokenizer: letters with one leading sign, single digits, runs of signs, white space. */
export const WORD_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const WORDS = new RegExp(WORD_PATTERN.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])"), "gu");

export interface BytePairs {
  vocabulary: Map<string, number>;
  merges: [string, string][];
}

/**
 * Byte-pair encoding (Sennrich et al. 2016) over bytes. Deterministic: the most frequent pair first, the
 * lexicographically smaller one on ties.
 */
export function trainBytePairs(texts: Iterable<string>, vocabularySize: number): BytePairs {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].map(([word, count]) => ({
    symbols: [...Buffer.from(word, "utf8")].map((byte) => BYTE_SYMBOLS[byte] as string),
    count,
  }));
  const vocabulary = new Map(BYTE_SYMBOLS.map((symbol, id) => [symbol, id]));
  const merges: [string, string][] = [];
  while (vocabulary.size < vocabularySize) {
    const best = mostFrequentPair(words);
    if (best === undefined) break;
    merges.push(best);
    vocabulary.set(best.join(""), vocabulary.size);
    for (const word of words) mergePair(word.symbols, best);
  }
  return { vocabulary, merges };
}

function mostFrequentPair(words: { symbols: string[]; count: number }[]): [string, string] | undefined {
  const pairs = new Map<string, number>();
  for (const { symbols, count } of words) {
    for (let i = 0; i + 1 < symbols.length; i++) {
      const pair = `${symbols[i]} ${symbols[i + 1]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + count);
    }
  }
  let best: string | undefined;
  let bestCount = 1;
  for (const [pair, count] of pairs) {
    if (count > bestCount || (count === bestCount && best !== undefined && pair < best)) {
      best = pair;
      bestCount = count;
    }
  }
  return best?.split(" ") as [string, string] | undefined;
}

function mergePair(symbols: string[], [left, right]: [string, string]): void {
  for (let i = 0; i + 1 < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) symbols.splice(i, 2, left + right);
  }
}
