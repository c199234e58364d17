/**
 * The source text of a top-level member of a JSON object, exactly as written: `JSON.parse` would lose `1.0`, the
 * spacing and the digits of large numbers. `source` must be valid JSON; of repeated keys the last one counts.
 */
export function memberSource(source: string, key: string): string | undefined {
  let found: string | undefined;
  let position = skipSpace(source, source.indexOf("{") + 1);
  while (source[position] === '"') {
    const keyEnd = stringEnd(source, position);
    const name: unknown = JSON.parse(source.slice(position, keyEnd));
    const start = skipSpace(source, skipSpace(source, keyEnd) + 1);
    const end = valueEnd(source, start);
    if (name === key) found = source.slice(start, end);
    position = skipSpace(source, skipSpace(source, end) + 1);
  }
  return found;
}

function skipSpace(source: string, position: number): number {
  let at = position;
  while (at < source.length && " \t\r\n".includes(source[at] as string)) at++;
  return at;
}

// Index behind the closing quote of the string that opens at `position`.
function stringEnd(source: string, position: number): number {
  let at = position + 1;
  while (at < source.length && source[at] !== '"') at += source[at] === "\\" ? 2 : 1;
  return at + 1;
}

function valueEnd(source: string, position: number): number {
  let depth = 0;
  let at = position;
  while (at < source.length) {
    const character = source[at] as string;
    if (character === '"') {
      at = stringEnd(source, at);
    } else {
      if (depth === 0 && ",} \t\r\n".includes(character)) return at;
      if (character === "{" || character === "[") depth++;
      if (character === "}" || character === "]") depth--;
      at++;
    }
    if (depth === 0 && (source[at - 1] === '"' || source[at - 1] === "}" || source[at - 1] === "]")) return at;
  }
  return at;
}
