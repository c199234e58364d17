/**
 * `node bench/run.mjs FIGURE --python PATH`: one figure against PyTorch, both sides in processes of their own, turn by turn.
 * Prints Markdown for bench/RESULTS.md. See bench/README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decodeSmall, decodeTiny } from "./figures/decode.mjs";
import { matmul } from "./figures/matmul.mjs";
import { sharing } from "./figures/sharing.mjs";
import { tutorialUpdate, unsharedUpdate } from "./figures/update.mjs";

const FIGURES = {
  "update-tutorial": tutorialUpdate,
  "update-0.5b": unsharedUpdate,
  matmul,
  "decode-tiny": decodeTiny,
  "decode-0.5b": decodeSmall,
  sharing,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string", default: ".venv/bin/python" },
    rounds: { type: "string", default: "5" },
    run: { type: "string" },
    model: { type: "string", default: "models/ajet-tiny" },
    native: { type: "string", default: "build-bench/bench/native" },
    requests: { type: "string" },
    "plain-malloc": { type: "boolean", default: false },
    "torch-compile": { type: "boolean", default: false },
    "micro-rows": { type: "string", default: "8" },
  },
});

const figure = FIGURES[positionals[0]];
if (!figure) {
  console.error(`Expected one of ${Object.keys(FIGURES).join(", ")} but received ${positionals[0] ?? "nothing"}`);
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), "ajet-bench-"));
try {
  const record = await figure({
    python: values.python,
    rounds: Number(values.rounds),
    run: values.run,
    model: values.model,
    native: values.native,
    requests: values.requests?.split(",").map(Number),
    plainMalloc: values["plain-malloc"],
    compile: values["torch-compile"],
    microRows: Number(values["micro-rows"]),
    scratch,
    command: ["node bench/run.mjs", ...process.argv.slice(2).filter(isFigureArgument)].join(" "),
  });
  console.log(record);
} finally {
  rmSync(scratch, { recursive: true });
}

/** Where Python and the binaries lie has no place in a record. */
function isFigureArgument(argument, index, all) {
  const isPath = (text) => text === "--python" || text === "--native";
  return !isPath(argument) && !isPath(all[index - 1] ?? "");
}
