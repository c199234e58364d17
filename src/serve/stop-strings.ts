/** Finds stop texts in text that arrives in pieces, holding back what may be the beginning of one. */
export class StopStrings {
  private held = "";

  constructor(private readonly stops: readonly string[]) {}

  /** The text that can be let through; `stopped` once a stop text is complete (it is no part of the text). */
  push(text: string): { text: string; stopped: boolean } {
    if (this.stops.length === 0) return { text, stopped: false };
    const buffer = this.held + text;
    const starts = this.stops.map((stop) => buffer.indexOf(stop)).filter((start) => start >= 0);
    if (starts.length > 0) {
      this.held = "";
      return { text: buffer.slice(0, Math.min(...starts)), stopped: true };
    }
    const length = buffer.length - Math.max(...this.stops.map((stop) => overlap(buffer, stop)));
    this.held = buffer.slice(length);
    return { text: buffer.slice(0, length), stopped: false };
  }

  /** What was held back when the text ended. */
  end(): string {
    const rest = this.held;
    this.held = "";
    return rest;
  }
}

// Length of the longest end of `text` that `stop` begins with.
function overlap(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (stop.startsWith(text.slice(text.length - length))) return length;
  }
  return 0;
}
