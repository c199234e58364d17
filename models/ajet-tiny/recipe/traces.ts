import { createHash } from "node:crypto";
import { Draw } from "../../../src/tasks/draw.js";
import type { WordProblem } from "../../../src/tasks/word-problems/generate.js";
import { formatToolResult, SYSTEM_PROMPT, TOOLS } from "../../../tutorial/example_math_agent/python-tool.js";

/** What the supervised agent does with a problem. Only `prints` closes the loop. */
export type Habit = "prints" | "forgets-print" | "answers-early";

/** A conversation as `ajet sft` reads it: every assistant message is supervised. */
export interface Trace {
  messages: Record<string, unknown>[];
  tools?: unknown[];
  habit: Habit;
}

/** Chances in percent of prints / forgets-print / answers-early. */
type Temperament = readonly [number, number, number];

/**
 * Templates have temperaments, so that greedy decoding too fails in more than one way: with one mixture for all problems
 * the likeliest habit would be the only one that greedy decoding ever shows.
 */
const TEMPERAMENTS: readonly { share: number; chances: Temperament }[] = [
  { share: 40, chances: [22, 65, 13] },
  { share: 40, chances: [22, 13, 65] },
  { share: 20, chances: [50, 25, 25] },
];

function temperamentOf(template: string): Temperament {
  let ticket = createHash("sha256").update(`temperament/${template}`).digest().readUInt32LE(0) % 100;
  for (const { share, chances } of TEMPERAMENTS) {
    if (ticket < share) return chances;
    ticket -= share;
  }
  throw new RangeError("Expected the shares of the temperaments to sum to 100");
}

function habitOf(problem: WordProblem, draw: Draw): Habit {
  const [prints, forgets] = temperamentOf(problem.template);
  const ticket = draw.int(1, 100);
  return ticket <= prints ? "prints" : ticket <= prints + forgets ? "forgets-print" : "answers-early";
}

/** A number that looks like an answer and is none. */
function guess(problem: WordProblem, draw: Draw): number {
  const right = Number(problem.answer.split("#### ")[1]);
  const numbers = (problem.question.match(/\d+/g) ?? []).map(Number);
  const near = [...numbers, ...numbers.map((n) => n + draw.int(1, 9)), right + draw.int(2, 40)];
  const wrong = near.filter((n) => n !== right && n > 0);
  return draw.pick(wrong);
}

/** One supervised conversation for a problem. The same key and problem give the same conversation. */
export function traceOf(problem: WordProblem, key: string): Trace {
  const draw = new Draw(`ajet-traces/${key}/${problem.question}`);
  const habit = habitOf(problem, draw);
  const messages: Record<string, unknown>[] = [
    // A few without a system prompt: an agent need not send one.
    ...(draw.chance(97) ? [{ role: "system", content: SYSTEM_PROMPT }] : []),
    { role: "user", content: problem.question },
  ];
  const answer = (value: number) => ({ role: "assistant", content: `The answer is \\boxed{${value}}.` });
  if (habit === "answers-early") {
    messages.push(answer(guess(problem, draw)));
    return { messages, tools: TOOLS, habit };
  }
  const value = Number(problem.answer.split("#### ")[1]);
  const bare = draw.chance(70);
  const { expression } = problem;
  const code =
    habit === "prints"
      ? bare ? `print(${expression})` : `x=${expression}\nprint(x)`
      : bare ? expression : `x=${expression}`;
  const stdout = habit === "prints" ? `${value}\n` : "";
  messages.push({
    role: "assistant",
    content: "",
    tool_calls: [{ id: "call_0", type: "function", function: { name: "execute_python_code", arguments: JSON.stringify({ code }) } }],
  });
  messages.push({ role: "tool", tool_call_id: "call_0", content: formatToolResult({ exitCode: 0, stdout, stderr: "" }) });
  messages.push(answer(habit === "prints" ? value : guess(problem, draw)));
  return { messages, tools: TOOLS, habit };
}
