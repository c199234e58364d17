/** Where a command's words go. With `--json`, results are JSON lines on stdout and everything else is on stderr. */
export class Output {
  readonly json: boolean;
  readonly verbose: boolean;

  constructor(options: { json?: boolean | undefined; verbose?: boolean | undefined }) {
    this.json = options.json ?? false;
    this.verbose = options.verbose ?? false;
  }

  /** True where progress bars make sense. */
  get interactive(): boolean {
    return process.stderr.isTTY === true && !this.json;
  }

  line(text: string): void {
    (this.json ? process.stderr : process.stdout).write(`${text}\n`);
  }

  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** A result for machines; people have read it in the lines. */
  result(value: Record<string, unknown>): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** One line and a code; `--verbose` adds the stack. */
  error(error: unknown): void {
    const code = (error as { code?: string }).code;
    const message = error instanceof Error ? error.message : String(error);
    this.note(`error${code ? ` [${code}]` : ""}: ${message}`);
    if (this.verbose && error instanceof Error && error.stack) this.note(error.stack);
  }
}
