import type { Draw } from "../draw.js";
import type { Expression } from "./expression.js";

/** One way to tell a problem: the text, and the calculation that answers it. */
export interface Template {
  /** Stable name; problems carry it as metadata. */
  id: string;
  make(draw: Draw): { text: string; answer: Expression };
}

/** Sentences with a number that the answer does not need. */
export function distractor(draw: Draw, name: string, he: string): string {
  return draw.pick([
    `${name} is ${draw.int(7, 60)} years old.`,
    `${name} lives at number ${draw.int(2, 99)}.`,
    `It takes ${name} ${draw.int(5, 55)} minutes to get there.`,
    `${name} has ${draw.int(2, 6)} cousins, and ${he} likes them all.`,
    `The bus number is ${draw.int(2, 99)}.`,
  ]);
}
