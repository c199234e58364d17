import { load, YAMLException } from "js-yaml";
import { ConfigError } from "../../native/errors.js";
import { isRecord } from "../task-record.js";

/** A configuration (subset) that a data set's card declares. */
export interface CardConfig {
  name: string;
  isDefault: boolean;
  /** Patterns of paths for each split. */
  splits: Map<string, string[]>;
}

/** The configurations in the front matter of a README.md; none where it has no `configs`. */
export function cardConfigs(readme: string, dataset: string): CardConfig[] {
  const front = /^\ufeff?---\r?\n([\s\S]*?)\r?\n---(\r?\n|$)/.exec(readme)?.[1];
  if (front === undefined) return [];
  let card: unknown;
  try {
    card = load(front);
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    throw new ConfigError(`The README.md of ${dataset} has a front matter that is not valid YAML: ${error.message}`);
  }
  const configs = isRecord(card) && Array.isArray(card["configs"]) ? card["configs"] : [];
  return configs.filter(isRecord).flatMap((config) => {
    const { config_name: name, data_dir: folder, data_files: files, default: isDefault } = config;
    if (typeof name !== "string") return [];
    const below = (pattern: string) => (typeof folder === "string" ? `${trimSlashes(folder)}/${pattern}` : pattern);
    const splits = new Map(
      patternsOf(files).map(([split, patterns]) => [split, patterns.map((p) => below(trimSlashes(p)))]),
    );
    if (splits.size === 0 && typeof folder !== "string") return [];
    if (splits.size === 0) splits.set("", [below("**")]);
    return [{ name, isDefault: isDefault === true, splits }];
  });
}

/** `data_files` is a pattern, several, a mapping of splits, or a list of `{ split, path }`. An empty split: by name. */
function patternsOf(files: unknown): [string, string[]][] {
  if (typeof files === "string") return [["", [files]]];
  if (Array.isArray(files)) {
    const texts = files.filter((file): file is string => typeof file === "string");
    const splits = files.filter(isRecord).map(({ split, path }): [string, string[]] => [String(split), textsIn(path)]);
    return texts.length > 0 ? [["", texts]] : splits;
  }
  return isRecord(files) ? Object.entries(files).map(([split, path]) => [split, textsIn(path)]) : [];
}

function textsIn(value: unknown): string[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((item): item is string => typeof item === "string");
}

function trimSlashes(path: string): string {
  return path.replace(/^(\.?\/)+|\/+$/g, "");
}
