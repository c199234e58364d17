/** Where a command's words go. With `--json`, results are JSON lines on stdout and everything else is on stderr. */
export class Output {
  readonly json: boolean;
  readonly verbose: boolean;
  #userText = "";

  constructor(options: { json?: boolean | undefined; verbose?: boolean | undefined }) {
    this.json = options.json ?? false;
    this.verbose = options.verbose ?? false;
  }

  /** True where progress bars make sense. */
  get interactive(): boolean {
    return process.stderr.isTTY === true && !this.json;
  }

  /** What people came for. */
  line(text: string): void {
    if (this.json) this.note(text);
    else process.stdout.write(`${text}\n`);
  }

  /** What helps to understand it. */
  note(text: string): void {
    process.stderr.write(`${this.interactive ? CLEAR_LINE : ""}${text}\n`);
  }

  /** What workflows and judges print, whole lines at a time, marked as theirs. */
  userOutput(text: string): void {
    const lines = (this.#userText + text).split("\n");
    this.#userText = lines.pop() as string;
    for (const line of lines) this.note(`agent | ${line}`);
  }

  /** A result for machines; people have read it in the lines. */
  result(value: object): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** One line and a code; `--verbose` adds the stack. */
  error(error: unknown): void {
    const code = (error as { code?: string } | null)?.code;
    const message = error instanceof Error ? error.message : String(error);
    this.note(`error${code ? ` [${code}]` : ""}: ${message}`);
    if (this.verbose && error instanceof Error && error.stack) this.note(error.stack);
  }
}

/** Wipes what a progress bar has drawn; the bar draws itself anew. */
const CLEAR_LINE = "\r\x1b[K";
