import { Draw } from "../draw.js";
import type { Template } from "./template.js";
import { TRAINING_TEMPLATES } from "./training-templates.js";
import { UNSEEN_TEMPLATES } from "./unseen-templates.js";

/** A GSM8K-style word problem with a whole, positive answer. */
export interface WordProblem {
  question: string;
  /** GSM8K's form: the calculation, then `#### ` and the number. */
  answer: string;
  template: string;
  /** The calculation in Python's syntax. */
  expression: string;
  operations: number;
}

export interface GenerateOptions {
  seed: number;
  count: number;
  /** Which templates; `unseen` ones are never trained on. */
  templates?: "training" | "unseen";
  /** Texts that must not come again (problems of another split). The generated texts are added to it. */
  taken?: Set<string>;
}

/**
 * Problems with no text twice, templates in turn. The same options give the same problems.
 * @throws RangeError when so many different problems cannot be found.
 */
export function generateWordProblems(options: GenerateOptions): WordProblem[] {
  const kind = options.templates ?? "training";
  const templates = kind === "training" ? TRAINING_TEMPLATES : UNSEEN_TEMPLATES;
  const taken = options.taken ?? new Set<string>();
  const draw = new Draw(`ajet-word-problems/${kind}/${options.seed}`);
  const problems: WordProblem[] = [];
  let refused = 0;
  while (problems.length < options.count) {
    const template = templates[(problems.length + refused) % templates.length] as Template;
    const problem = tell(template, draw);
    if (problem === undefined || taken.has(problem.question)) {
      if (++refused > 100 * options.count + 1000) {
        throw new RangeError(`Expected ${options.count} different problems but found only ${problems.length}`);
      }
      continue;
    }
    taken.add(problem.question);
    problems.push(problem);
  }
  return problems;
}

function tell(template: Template, draw: Draw): WordProblem | undefined {
  const { text, answer } = template.make(draw);
  if (!Number.isInteger(answer.value) || answer.value <= 0) return undefined;
  return {
    question: text,
    answer: `${answer.text} = ${answer.value}\n#### ${answer.value}`,
    template: template.id,
    expression: answer.text,
    operations: answer.operations,
  };
}
