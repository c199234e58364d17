import type { PythonResult, ToolCall, Tuner } from "ajet";

/** What every math agent of this tutorial is told. */
export const SYSTEM_PROMPT =
  "You are an agent that solves math problems with tools. Solve the problem that the user gives you. " +
  "You can write and execute Python code to calculate or to verify your answer. " +
  "Return your final answer within \\boxed{}.";

/** The one tool, as it is sent with every request. */
export const TOOLS = [
  {
    type: "function" as const,
    function: {
      name: "execute_python_code",
      description: "Run Python code and return what it prints.",
      parameters: {
        type: "object",
        properties: { code: { type: "string", description: "The code to run." } },
        required: ["code"],
      },
    },
  },
];

/** A program that prints without end must not fill the model's context. */
const MAX_OUTPUT_CHARACTERS = 400;

/** The tool message's content: what was printed, the last line of an error (if any), the exit code. */
export function formatToolResult(result: PythonResult): string {
  const error = result.stderr.trimEnd().split("\n").at(-1) ?? "";
  return JSON.stringify({
    stdout: clip(result.stdout),
    ...(error === "" ? {} : { stderr: clip(error) }),
    returncode: result.exitCode,
  });
}

/** Runs one tool call of the model and returns the content of the tool message that answers it. */
export async function runToolCall(tuner: Tuner, call: ToolCall): Promise<string> {
  if (call.function.name !== "execute_python_code") {
    return failedCall(`NameError: no tool is named '${call.function.name}'`);
  }
  const code = codeArgument(call.function.arguments);
  if (code === undefined) return failedCall("TypeError: 'code' must be a string");
  return formatToolResult(await tuner.executePython(code));
}

function codeArgument(argumentsJson: string): string | undefined {
  try {
    const code = (JSON.parse(argumentsJson) as { code?: unknown } | null)?.code;
    return typeof code === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}

function failedCall(message: string): string {
  return formatToolResult({ exitCode: 1, stdout: "", stderr: message });
}

function clip(text: string): string {
  const characters = Array.from(text);
  return characters.length <= MAX_OUTPUT_CHARACTERS
    ? text
    : `${characters.slice(0, MAX_OUTPUT_CHARACTERS).join("")}...`;
}
