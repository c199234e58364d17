import { isTree } from "./overrides.js";

/** Dotted paths of the values in which two configurations differ. */
export function changedKeys(a: unknown, b: unknown, path = ""): string[] {
  if (!isTree(a) || !isTree(b)) return JSON.stringify(a) === JSON.stringify(b) ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => changedKeys(a[key], b[key], path === "" ? key : `${path}.${key}`));
}
