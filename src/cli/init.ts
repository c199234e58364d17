import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../native/errors.js";
import { makeWritableFolder } from "../native/make-folder.js";
import { PACKAGE_ROOT, packageVersion } from "../native/package-root.js";
import { type CommonOptions, command } from "./options.js";
import { Output } from "./output.js";

/** The files of a new project, as they lie in the package. */
const TEMPLATE = join(PACKAGE_ROOT, "templates/project");
/** npm leaves files of this name out of packages. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: ".gitignore" };
/** What a folder may have already: it stays as it is. */
const KEPT = ["package.json", "tsconfig.json", ".gitignore", ".vscode/launch.json"];

/** `ajet init`: a new project that trains at once. */
export function addInit(program: Command): void {
  command(program, "init", "writes a new project: YAML, agent, judge and sample tasks, ready to train")
    .argument("[dir]", "its folder", ".")
    .action((dir: string, options: CommonOptions) => writeProject(resolve(dir), new Output(options)));
}

function writeProject(folder: string, output: Output): void {
  const files = templateFiles();
  const taken = files.filter((file) => !KEPT.includes(file.target) && existsSync(join(folder, file.target)));
  if (taken.length > 0) {
    const names = taken.map(({ target }) => target).join(", ");
    throw new ConfigError(`${folder} has ${names} already: nothing was written. Choose another folder`);
  }
  makeWritableFolder(folder, "dir");
  for (const { source, target } of files) {
    const path = join(folder, target);
    if (existsSync(path)) {
      output.note(
        `kept ${path}${target === "package.json" ? ": it needs ajet and openai among its dependencies" : ""}`,
      );
      continue;
    }
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, fillIn(readFileSync(join(TEMPLATE, source), "utf8"), folder), { flag: "wx" });
    output.line(`wrote ${path}`);
    output.result({ file: path });
  }
  const enter = folder === process.cwd() ? "" : `cd ${relative(process.cwd(), folder)} && `;
  output.line(`\nNext: ${enter}npm install && npx ajet train ajet.yaml`);
}

function templateFiles(): { source: string; target: string }[] {
  const entries = readdirSync(TEMPLATE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sources = entries.map((entry) => relative(TEMPLATE, join(entry.parentPath ?? entry.path, entry.name)));
  return sources.sort().map((source) => ({ source, target: RENAMED[source] ?? source }));
}

/** Puts the project's own name and the version of ajet into a file of the template. */
function fillIn(text: string, folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
  const { dependencies } = JSON.parse(readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return text
    .replaceAll("PROJECT_NAME", name || "agent")
    .replaceAll("AJET_VERSION", ownVersion(folder))
    .replaceAll("OPENAI_VERSION", `^${dependencies["openai"]}`);
}

/** From a registry where this copy was installed; a checkout is taken as it lies there. */
function ownVersion(folder: string): string {
  const root = realpathSync(PACKAGE_ROOT);
  return existsSync(join(root, "src")) ? `file:${relative(folder, root)}` : `^${packageVersion()}`;
}
