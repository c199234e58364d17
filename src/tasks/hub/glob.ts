const TOKENS = /\*\*\/|\*\*|\*|\?|\[[^\]]+\]|\{[^}]*\}|[\\^$.|+()[\]{}]/g;

const WILDCARDS: Readonly<Record<string, string>> = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };

/** A pattern of paths as data set cards use them: `*` and `?` stay within a folder, `**` does not; `[0-9]`, `{a,b}`. */
export function globPattern(glob: string): RegExp {
  const source = glob.replace(TOKENS, (token) => {
    if (token in WILDCARDS) return WILDCARDS[token] as string;
    if (token.length > 1 && token.startsWith("[")) return token.replace("[!", "[^");
    if (token.length > 1) return `(?:${token.slice(1, -1).split(",").map(literally).join("|")})`;
    return `\\${token}`;
  });
  return new RegExp(`^${source}$`);
}

function literally(text: string): string {
  return text.replace(/[\\^$.|+()[\]{}*?]/g, "\\$&");
}
