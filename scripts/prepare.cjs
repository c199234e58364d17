// npm's "prepare": compiles src, and the pages of web, to dist when a source changed since the last time. npx runs it on every call inside a
// checkout, so that it must cost nothing when nothing changed. In the packed package there is no src, and nothing to do.
const { spawnSync } = require("node:child_process");
const { chmodSync, existsSync, readdirSync, statSync, utimesSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..");
const source = join(root, "src");
const web = join(root, "web");
const stamp = join(root, "dist", ".prepared");

/** Newest modification below a path. Folders count: removing a file changes its folder. */
function newest(path) {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), mtimeMs);
}

function isUpToDate() {
  if (!existsSync(stamp)) return false;
  const inputs = [source, web, join(root, "scripts"), join(root, "tsconfig.json"), join(root, "package.json")];
  return Math.max(...inputs.map(newest)) < statSync(stamp).mtimeMs;
}

function build() {
  const started = new Date();
  const compiler = join(require.resolve("typescript/package.json", { paths: [root] }), "..", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", join(root, "tsconfig.json")], { stdio: "inherit" });
  if (status !== 0) return status ?? 1;
  const pages = buildPages();
  if (pages !== 0) return pages;
  chmodSync(join(root, "dist", "cli", "main.js"), 0o755); // npm does so once, when it links the command: not after a rebuild
  writeFileSync(stamp, `${started.toISOString()}\n`);
  utimesSync(stamp, started, started); // what changed while it compiled is compiled next time
  return 0;
}

/** Their libraries are development dependencies, which are not there after `npm ci --omit=dev`. */
function buildPages() {
  try {
    for (const library of ["esbuild", "preact", "uplot"]) require.resolve(library, { paths: [root] });
  } catch (error) {
    console.error(`note: the pages of ajet logview are not built: ${error.message.split("\n")[0]}`);
    return 0;
  }
  const { status } = spawnSync(process.execPath, [join(root, "scripts/build-web.mjs")], { stdio: "inherit" });
  return status ?? 1;
}

if (existsSync(source) && !isUpToDate()) process.exitCode = build();
