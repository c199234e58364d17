import { toJson } from "./record.js";

/** The messages of a group's episodes, equal ones once: those of several episodes with the group, the others with theirs. */
export class MessagePool {
  /** By JSON; `episode` is undefined once a second one has it. */
  readonly #messages = new Map<string, { episode: number | undefined; place: number }>();
  readonly #shared: string[] = [];
  #placed = false;

  /** Takes note of a message. Returns its JSON, for {@link place}. */
  note(message: unknown, episode: number): string {
    const json = toJson(message);
    const known = this.#messages.get(json);
    if (known === undefined) this.#messages.set(json, { episode, place: -1 });
    else if (known.episode !== episode) known.episode = undefined;
    return json;
  }

  /** JSON of the messages that several episodes have. Call it when all are noted. */
  shared(): readonly string[] {
    if (!this.#placed) {
      for (const [json, message] of this.#messages) {
        if (message.episode === undefined) message.place = this.#shared.push(json) - 1;
      }
      this.#placed = true;
    }
    return this.#shared;
  }

  /** Where a message is: at -1 - n among the shared ones, else in `own`, to which it is added. */
  place(json: string, own: string[]): number {
    const message = this.#messages.get(json) as { episode: number | undefined; place: number };
    if (message.episode === undefined) return -1 - message.place;
    if (message.place < 0) message.place = own.push(json) - 1;
    return message.place;
  }
}

/** The message at a place of {@link MessagePool.place}. */
export function messageAt(place: number, own: readonly unknown[], shared: readonly unknown[]): unknown {
  return place < 0 ? shared[-1 - place] : own[place];
}
