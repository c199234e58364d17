import cliProgress from "cli-progress";

/** A bar with the time left on stderr; nothing where stderr is no terminal. */
export class ProgressBar {
  readonly #bar: cliProgress.SingleBar | undefined;

  constructor(label: string, total: number, interactive: boolean) {
    if (!interactive) return;
    this.#bar = new cliProgress.SingleBar(
      { format: `${label} {bar} {value}/{total}  {eta_formatted} left  {note}`, clearOnComplete: true, hideCursor: true },
      cliProgress.Presets.shades_classic,
    );
    this.#bar.start(total, 0, { note: "" });
  }

  update(done: number, note = ""): void {
    this.#bar?.update(done, { note });
  }

  stop(): void {
    this.#bar?.stop();
  }
}
