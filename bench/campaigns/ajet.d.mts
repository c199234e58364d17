import type { ChildProcess } from "node:child_process";

/** The checkout. */
export const ROOT: string;

export interface AjetOptions {
  cwd?: string;
  /** Beside the process's own. */
  env?: NodeJS.ProcessEnv;
  /** Of stdin. */
  input?: string;
}

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export class Ajet {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  stdout: string;
  stderr: string;
  constructor(args: readonly string[], options?: AjetOptions);
  until(condition: () => boolean): Promise<void>;
}

export function ajet(args: readonly string[], options?: AjetOptions): Promise<Finished>;
export function settings(values: Record<string, unknown>): string[];
export function tinyRun(experimentDir: string, name: string, values?: Record<string, unknown>): string[];
export function runDigest(run: string, step: number): string;
export function checkpointDigest(run: string, step: number): Record<string, string>;
export function timelessMetrics(run: string): Record<string, number>[];
export function timelessSummary(run: string): Record<string, unknown>;
