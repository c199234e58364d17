import type { ToolCall } from "../agent/task.js";

/** A tool as the model is told of it. */
export interface ToolDefinition {
  type: "function";
  function: { name: string; description?: string; parameters?: Record<string, unknown> };
}

/** Runs a tool. What it returns is the content of the tool message; what it throws is told to the model. */
export type ToolFunction = (
  args: Record<string, unknown>,
  context: { call: ToolCall; signal?: AbortSignal | undefined },
) => string | Promise<string>;

/** The tools of an agent. */
export class Toolkit {
  private readonly tools = new Map<string, { definition: ToolDefinition; run: ToolFunction }>();

  /** @throws TypeError where a tool of that name is registered already. */
  registerToolFunction(definition: ToolDefinition, run: ToolFunction): void {
    const { name } = definition.function;
    if (this.tools.has(name)) throw new TypeError(`A tool is named ${JSON.stringify(name)} already`);
    this.tools.set(name, { definition, run });
  }

  /** What goes with every request, in the order of registration. */
  get definitions(): readonly ToolDefinition[] {
    return [...this.tools.values()].map(({ definition }) => definition);
  }

  /** Runs a call of the model. A call that cannot be run is answered in words, so that the model can do better. */
  async run(call: ToolCall, signal?: AbortSignal): Promise<string> {
    const tool = this.tools.get(call.function.name);
    if (tool === undefined) return `NameError: no tool is named '${call.function.name}'`;
    const args = parseArguments(call.function.arguments);
    if (args === undefined) return "TypeError: the arguments are no JSON object";
    try {
      return await tool.run(args, { call, signal });
    } catch (error) {
      signal?.throwIfAborted();
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  }
}

function parseArguments(json: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
