import type { Message } from "../../src/logview/tokens/messages.js";
import { columnsOf, visibleText } from "../../src/logview/tokens/visible-text.js";

/** A piece of a token on a line; a token that is broken across lines has several. */
export interface Piece {
  token: number;
  text: string;
}

/** What stands on one line of the conversation: a message's head, or tokens. */
export type Line =
  | { kind: "head"; message: Message; index: number }
  | { kind: "tokens"; pieces: Piece[]; message: number; isLast: boolean };

/** Lines, and on which line each token begins. */
export interface LineLayout {
  lines: Line[];
  lineOfToken: Int32Array;
}

/** What stands for a line feed, and for a token that has no text of its own. */
const LINE_FEED = "↵";
const NO_TEXT = "·";

/**
 * Breaks a conversation into lines of a monospaced font: all of a known height, so that tens of thousands of tokens scroll
 * without any being measured.
 * @param hidden Indices of messages of which only the head is shown.
 */
export function layOut(
  texts: readonly string[],
  messages: readonly Message[],
  columns: number,
  hidden: ReadonlySet<number>,
): LineLayout {
  const lines: Line[] = [];
  const lineOfToken = new Int32Array(texts.length);
  for (const [index, message] of messages.entries()) {
    lines.push({ kind: "head", message, index });
    if (hidden.has(index)) {
      lineOfToken.fill(lines.length - 1, message.from, message.to);
      continue;
    }
    const writer = new LineWriter(lines, index, columns);
    for (let token = message.from; token < message.to; token++) {
      lineOfToken[token] = writer.add(token, texts[token] ?? "");
    }
    writer.end();
  }
  return { lines, lineOfToken };
}

class LineWriter {
  #pieces: Piece[] = [];
  #used = 0;

  constructor(
    private readonly lines: Line[],
    private readonly message: number,
    private readonly columns: number,
  ) {}

  /** @returns The line on which the token begins. */
  add(token: number, text: string): number {
    const shown = text === "" ? NO_TEXT : visibleText(text);
    const width = widthOf(shown);
    // Whole tokens stay together where they fit on a line.
    if (this.#used > 0 && this.#used + width > this.columns && width <= this.columns) this.#break();
    const first = this.lines.length;
    let piece = "";
    for (const character of shown) {
      if (character === "\n") {
        this.#push(token, piece + LINE_FEED, 1);
        piece = "";
        this.#break();
        continue;
      }
      const size = columnsOf(character);
      if (this.#used + size > this.columns) {
        this.#push(token, piece, 0);
        piece = "";
        this.#break();
      }
      piece += character === "\t" ? "→ " : character;
      this.#used += size;
    }
    this.#push(token, piece, 0);
    return first;
  }

  end(): void {
    if (this.#pieces.length > 0) this.#break();
    const last = this.lines.at(-1);
    if (last?.kind === "tokens") last.isLast = true;
  }

  #push(token: number, text: string, extra: number): void {
    if (text === "") return;
    this.#pieces.push({ token, text });
    this.#used += extra;
  }

  #break(): void {
    this.lines.push({ kind: "tokens", pieces: this.#pieces, message: this.message, isLast: false });
    this.#pieces = [];
    this.#used = 0;
  }
}

/** Columns up to the first line feed. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (character === "\n") return width + 1;
    width += columnsOf(character);
  }
  return width;
}
