// npm's "preinstall": writes the environment's AJET_CUDA (AUTO, ON or OFF) where CMake finds it and configures again when
// it changes, since cmake-js configures only once. Without AJET_CUDA the last choice stands, AUTO at first.
const { existsSync, mkdirSync, readFileSync, writeFileSync } = require("node:fs");
const { dirname, join } = require("node:path");

const file = join(__dirname, "..", "native", "build", "cuda-choice");
const choice = process.env.AJET_CUDA;

if (choice !== undefined && !["AUTO", "ON", "OFF"].includes(choice)) {
  console.error(`ajet: Expected AUTO, ON or OFF for AJET_CUDA but received "${choice}"`);
  process.exitCode = 1;
} else if (choice !== undefined && (!existsSync(file) || readFileSync(file, "utf8").trim() !== choice)) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${choice}\n`);
}
