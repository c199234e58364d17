/** What a run of Python code left. */
export interface PythonResult {
  /** 0 after a clean end; -1 where a limit ended it. */
  exitCode: number;
  stdout: string;
  stderr: string;
  /** Which limit ended it, if one did. */
  limit?: "time" | "cpu" | "memory" | "output";
}
