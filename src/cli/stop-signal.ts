import { setMaxListeners } from "node:events";
import { AbortError } from "../native/errors.js";
import { EXIT } from "./exit-codes.js";

/** Fires at the first Ctrl-C or SIGTERM; the second one ends the process at once. */
export class StopSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal: () => void;

  /** @param onStop Called once, at the first signal. */
  constructor(onStop?: () => void) {
    setMaxListeners(0, this.signal); // every episode listens
    this.#onSignal = () => {
      if (this.signal.aborted) process.exit(EXIT.interrupted);
      onStop?.();
      this.#controller.abort(new AbortError("Interrupted"));
    };
    process.on("SIGINT", this.#onSignal);
    process.on("SIGTERM", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when the signal fires. */
  async fired(): Promise<void> {
    if (this.signal.aborted) return;
    await new Promise((resolve) => this.signal.addEventListener("abort", resolve, { once: true }));
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.#onSignal);
    process.off("SIGTERM", this.#onSignal);
  }
}
