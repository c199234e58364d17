import type { LoggerOptions } from "../../../src/report/loggers/run-loggers.js";

/** Small limits, and every service on this machine. */
export const OPTIONS: LoggerOptions = {
  python: "/usr/bin/python3",
  close_timeout_s: 200,
  tensorboard: { dir: null },
  swanlab: { mode: "offline", host: null, workspace: null },
  wandb: { mode: "offline", host: null, entity: null },
  mlflow: { tracking_uri: null },
};

/** The numbers of a step; odd ones among them. */
export function stepLine(step: number): { step: number } & Record<string, number> {
  return {
    step,
    "training/global_step": step,
    "critic/rewards/mean": 0.1 * step - 1 / 3,
    "train/weights_version": 16_000_000 + step,
    "actor/lr": 1e-6 / step,
    ...(step % 2 === 0 ? { "workflow/tool_stats/calls": -step } : {}),
  };
}

/** The numbers of an evaluation. */
export function evaluationLine(step: number): { step: number } & Record<string, number> {
  return { step, "val/TGC@1": step / 8, "val/pass@2": step / 4, "val/TGC@2-all-pass": 0 };
}

/** Points by metric. */
export type Series = Record<string, [step: number, value: number][]>;

/** What a run of so many steps, evaluated at some, must have left: each point once. */
export function expectedSeries(steps: number, evaluations: number[]): Series {
  const series: Series = {};
  const lines = [...Array.from({ length: steps }, (_, i) => stepLine(i + 1)), ...evaluations.map(evaluationLine)];
  for (const { step, ...values } of lines) {
    for (const [name, value] of Object.entries(values)) {
      series[name] ??= [];
      series[name].push([step, value]);
    }
  }
  return series;
}
