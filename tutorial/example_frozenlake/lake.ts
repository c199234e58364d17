/** `S` start, `G` goal, `F` frozen, `H` hole. */
export type Cell = "S" | "G" | "F" | "H";
export const DIRECTIONS = ["up", "down", "left", "right"] as const;
export type Direction = (typeof DIRECTIONS)[number];

export interface Position {
  row: number;
  column: number;
}

const MOVES: Record<Direction, Position> = {
  up: { row: -1, column: 0 },
  down: { row: 1, column: 0 },
  left: { row: 0, column: -1 },
  right: { row: 0, column: 1 },
};

/** A frozen lake: square, the start in the upper left corner, the goal in the lower right one. */
export class Lake {
  constructor(readonly rows: readonly string[]) {}

  get size(): number {
    return this.rows.length;
  }

  /** All cells in one text: equal for equal lakes. */
  get layout(): string {
    return this.rows.join("");
  }

  /** What lies in a direction; the shore stops every step. */
  beside(from: Position, direction: Direction): { to: Position; cell: Cell | "shore" } {
    const { row, column } = MOVES[direction];
    const to = { row: from.row + row, column: from.column + column };
    const cell = this.rows[to.row]?.[to.column] as Cell | undefined;
    return cell === undefined ? { to: from, cell: "shore" } : { to, cell };
  }

  /** Steps to the goal from each cell, by its number; none where the goal cannot be reached. */
  distances(): Map<number, number> {
    const goal = { row: this.size - 1, column: this.size - 1 };
    const distances = new Map([[this.index(goal), 0]]);
    const queue = [goal];
    for (let from = queue.shift(); from !== undefined; from = queue.shift()) {
      for (const direction of DIRECTIONS) {
        const { to, cell } = this.beside(from, direction);
        if (cell === "shore" || cell === "H" || distances.has(this.index(to))) continue;
        distances.set(this.index(to), (distances.get(this.index(from)) as number) + 1);
        queue.push(to);
      }
    }
    return distances;
  }

  index({ row, column }: Position): number {
    return row * this.size + column;
  }
}
