import { readFile } from "node:fs/promises";
import { ConfigError } from "../../native/errors.js";
import { type CardConfig, cardConfigs } from "./dataset-card.js";
import type { DatasetFiles } from "./dataset-files.js";
import { globPattern } from "./glob.js";
import { isDataFile } from "./read-rows.js";
import { canonicalSplit, splitOfPath } from "./split-names.js";

/**
 * The files of each split of one configuration (subset): as the data set's card says, else by the names of files and
 * folders.
 * @param config Name of the configuration; `undefined` takes the default one.
 * @throws ConfigError naming the configurations that there are.
 */
export async function splitFiles(dataset: DatasetFiles, config: string | undefined): Promise<Map<string, string[]>> {
  const dataPaths = dataset.paths.filter(isDataFile);
  if (dataPaths.length === 0) {
    throw new ConfigError(`The data set ${dataset.name} has no Parquet, JSONL, JSON or CSV files`);
  }
  const declared = await declaredConfigs(dataset);
  if (declared.length > 0) return splitsOfCard(dataset, declared, config, dataPaths);
  const folders = configFolders(dataPaths);
  if (config !== undefined) {
    const below = dataPaths.filter((path) => path.startsWith(`${config}/`));
    if (below.length === 0) throw unknownConfig(dataset, config, folders);
    return groupByName(below, config.length + 1);
  }
  if (folders.length < 2) return groupByName(dataPaths);
  if (!folders.includes("main")) throw unknownConfig(dataset, config, folders);
  return splitFiles(dataset, "main");
}

async function declaredConfigs(dataset: DatasetFiles): Promise<CardConfig[]> {
  if (!dataset.paths.includes("README.md")) return [];
  const [readme] = await dataset.fetch(["README.md"]);
  return cardConfigs(await readFile(readme as string, "utf8"), dataset.name);
}

function splitsOfCard(
  dataset: DatasetFiles,
  declared: readonly CardConfig[],
  name: string | undefined,
  dataPaths: readonly string[],
): Map<string, string[]> {
  const config =
    name === undefined
      ? (declared.find((one) => one.isDefault) ??
        declared.find((one) => one.name === "default" || one.name === "main") ??
        (declared.length === 1 ? declared[0] : undefined))
      : declared.find((one) => one.name === name);
  if (config === undefined) {
    const names = declared.map((one) => one.name);
    throw unknownConfig(dataset, name, names);
  }
  const splits = new Map<string, string[]>();
  for (const [split, globs] of config.splits) {
    const patterns = globs.map(globPattern);
    const paths = dataPaths.filter((path) => patterns.some((pattern) => pattern.test(path)));
    if (split === "") for (const [found, files] of groupByName(paths)) splits.set(found, files);
    else if (paths.length > 0) splits.set(split, paths);
  }
  return splits;
}

/** @param skip Length of a folder's name that says nothing about the split. */
function groupByName(paths: readonly string[], skip = 0): Map<string, string[]> {
  const splits = new Map<string, string[]>();
  for (const path of [...paths].sort()) {
    const split = splitOfPath(path.slice(skip));
    splits.set(split, [...(splits.get(split) ?? []), path]);
  }
  return splits;
}

/** Top-level folders that are configurations: all data lies in them, and their names are no splits. */
function configFolders(paths: readonly string[]): string[] {
  const folders = [...new Set(paths.map((path) => (path.includes("/") ? (path.split("/")[0] as string) : "")))];
  const areConfigs = folders.every((folder) => folder !== "" && folder !== "data" && !namesSplit(folder));
  return areConfigs ? folders : [];
}

function namesSplit(folder: string): boolean {
  return splitOfPath(`${folder}/x`) !== "train" || canonicalSplit(folder) === "train";
}

function unknownConfig(dataset: DatasetFiles, config: string | undefined, names: readonly string[]): ConfigError {
  const known = names.length > 0 ? names.join(", ") : "none";
  return new ConfigError(
    config === undefined
      ? `The data set ${dataset.name} has several configurations: name one of ${known} (${dataset.name}/${names[0]})`
      : `The data set ${dataset.name} has no configuration ${config}; it has ${known}`,
  );
}
