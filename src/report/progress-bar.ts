import cliProgress from "cli-progress";

/** A bar with the time left on stderr; nothing where stderr is no terminal. */
export class ProgressBar implements Disposable {
  readonly #bar: cliProgress.SingleBar | undefined;

  constructor(label: string, total: number, interactive: boolean) {
    if (!interactive) return;
    this.#bar = new cliProgress.SingleBar(
      {
        format: `${label} {bar} {value}/{total}  {eta_formatted} left  {note}`,
        clearOnComplete: true,
        hideCursor: true,
      },
      cliProgress.Presets.shades_classic,
    );
    this.#bar.start(total, 0, { note: "" });
  }

  /** @param note Stands behind the bar. */
  update(done: number, note = ""): void {
    this.#bar?.update(done, { note });
  }

  /** Idempotent. */
  stop(): void {
    this.#bar?.stop();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
