// Runs when the install script could not build the addon: says what is missing, and fails.
const { spawnSync } = require("node:child_process");

/** First line of a tool's --version, or undefined where it is not installed. */
function versionOf(tool) {
  const { status, stdout } = spawnSync(tool, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.split("\n")[0] : undefined;
}

const cmake = versionOf("cmake");
const compiler = versionOf(process.env.CXX || "c++");
const cmakeNumber = cmake?.match(/(\d+)\.(\d+)/);
const oldCmake = cmakeNumber && Number(cmakeNumber[1]) * 100 + Number(cmakeNumber[2]) < 325;

const lines = ["", "ajet: the native addon was not built.", `  cmake:        ${cmake ?? "not found"}`];
lines.push(`  C++ compiler: ${compiler ?? "not found"}`);
if (!cmake || !compiler)
  lines.push("  -> apt-get install cmake g++ (or your system's packages of these names), then: npm rebuild ajet");
else if (oldCmake)
  lines.push("  -> ajet needs CMake 3.25 or newer: https://cmake.org/download, then: npm rebuild ajet");
else lines.push("  -> see the compiler's output above; ajet needs C++20: g++ 12 or clang 15, or newer (CXX picks one)");
lines.push("  -> to install without the addon: npm install --ignore-scripts, and `npx ajet build` later", "");
console.error(lines.join("\n"));
process.exitCode = 1;
