import { type Cell, DIRECTIONS, type Direction, type Lake, type Position } from "./lake.js";

const MOST_STEPS = 12;
const NAMES: Record<Cell | "shore", string> = { S: "ice", F: "ice", G: "goal", H: "hole", shore: "shore" };

/** One walk over a lake. */
export class FrozenLakeEnv {
  #at: Position = { row: 0, column: 0 };
  #steps = 0;
  #score = 0;
  #isOver = false;

  constructor(readonly lake: Lake) {}

  get at(): Position {
    return this.#at;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** 1 where the goal was reached. */
  get score(): number {
    return this.#score;
  }

  /** The map with the walker (`P`) on it, and what lies around. */
  observation(): string {
    const rows = this.lake.rows.map((row, index) => {
      const cells = [...row];
      if (index === this.#at.row) cells[this.#at.column] = "P";
      return cells.join(" ");
    });
    const around = DIRECTIONS.map((direction) => `${direction} ${NAMES[this.lake.beside(this.#at, direction).cell]}`);
    return `${rows.join("\n")}\n${around.join(", ")}`;
  }

  /** Walks as the last direction in a text says; a text without one wastes the step. */
  step(text: string): { text: string; reward: number } {
    this.#steps++;
    const direction = directionIn(text);
    const place = direction === undefined ? undefined : this.lake.beside(this.#at, direction);
    if (place !== undefined) this.#at = place.to;
    if (place?.cell === "H") return this.#end("You fell into a hole.");
    if (place?.cell === "G") {
      this.#score = 1;
      return this.#end("You reached the goal.");
    }
    if (this.#steps >= MOST_STEPS) return this.#end("You ran out of steps.");
    return { text: this.observation(), reward: 0 };
  }

  #end(text: string): { text: string; reward: number } {
    this.#isOver = true;
    return { text, reward: this.#score };
  }
}

/** The last direction that a text names. */
export function directionIn(text: string): Direction | undefined {
  return text
    .toLowerCase()
    .match(/\b(up|down|left|right)\b/g)
    ?.at(-1) as Direction | undefined;
}
