/** Characters that show nothing, or change the order of what is around them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A token's text so that every character of it is seen. Line feeds and tabs stay. */
export function visibleText(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return `⟨${code.toString(16).padStart(4, "0")}⟩`;
  });
}

/** Scripts whose characters take two columns of a monospaced font, and pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Extended_Pictographic}|[\u{1f1e6}-\u{1f1ff}]|[\u{20000}-\u{3fffd}]/u;
const ZERO = /\p{Mn}|\p{Me}|\u200d|[\ufe00-\ufe0f]/u;

/** Columns that a character takes. */
export function columnsOf(character: string): number {
  const code = character.charCodeAt(0);
  if (code >= 0x20 && code < 0x300) return 1;
  if (character === "\t") return 2;
  return ZERO.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}
