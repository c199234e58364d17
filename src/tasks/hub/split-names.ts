/** Names that the `datasets` library takes for a split where no data set's card says it. */
const KEYWORDS: readonly (readonly [split: string, words: readonly string[]])[] = [
  ["train", ["train", "training"]],
  ["validation", ["validation", "valid", "val", "dev"]],
  ["test", ["test", "testing", "eval", "evaluation"]],
];

/** The usual name of a split: `dev` and `val` are `validation`. */
export function canonicalSplit(name: string): string {
  return KEYWORDS.find(([, words]) => words.includes(name.toLowerCase()))?.[0] ?? name;
}

/** The split that a file's path names: the file's own name first, then its folders, else `train`. */
export function splitOfPath(path: string): string {
  const steps = path.split("/").reverse();
  const shard = /^(.+?)-\d{5}-of-\d{5}(\.|$)/.exec(steps[0] ?? "")?.[1];
  if (shard !== undefined) return canonicalSplit(shard);
  for (const step of steps) {
    const words = step.toLowerCase().split(/[^a-z]+/);
    const split = KEYWORDS.find(([, names]) => names.some((name) => words.includes(name)))?.[0];
    if (split !== undefined) return split;
  }
  return "train";
}
