/** Logs three steps to wandb and waits to be killed: `tsx killed-run.ts FOLDER`. */
import { join } from "node:path";
import { NOWHERE } from "../../../src/report/loggers/contract.js";
import { RunLoggers } from "../../../src/report/loggers/run-loggers.js";
import { OPTIONS, stepLine } from "./lines.js";

const folder = process.argv[2] as string;
const loggers = new RunLoggers({
  names: ["wandb"],
  options: { ...OPTIONS, close_timeout_s: 5 },
  run: { project: "ajet test", name: "a run", folder, config: {}, keepUpTo: NOWHERE },
  metricsFile: join(folder, "metrics.jsonl"),
  validationFile: join(folder, "validation.jsonl"),
  onNote: () => {},
  onWarning: () => {},
});
for (const step of [1, 2, 3]) loggers.log("step", stepLine(step));
setInterval(() => {}, 1000);
