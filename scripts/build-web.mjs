/** Bundles the pages of `ajet logview` (web/, with its libraries) into dist/web: a script,
 * a style sheet and a page; and the style of report.html. */
import { copyFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const OUT = join(ROOT, "dist/web");

mkdirSync(OUT, { recursive: true });
await build({
  entryPoints: [
    { in: join(ROOT, "web/app/main.tsx"), out: "app" },
    { in: join(ROOT, "web/styles/app.css"), out: "app" },
    { in: join(ROOT, "web/styles/report.css"), out: "report" },
  ],
  outdir: OUT,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  tsconfig: join(ROOT, "web/tsconfig.json"),
  legalComments: "linked",
  logLevel: "warning",
});
copyFileSync(join(ROOT, "web/index.html"), join(OUT, "index.html"));
