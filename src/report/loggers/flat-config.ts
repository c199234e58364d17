const SECRET = /key|token|secret|password|authorization|credential/i;
/** Names of environment variables, no secrets themselves. */
const NAMES_VARIABLE = /_env$/;

/** The configuration as it may leave the machine: texts under names such as `api_key` are left out. */
export function withoutSecrets(value: unknown, name = ""): unknown {
  if (typeof value === "string" && SECRET.test(name) && !NAMES_VARIABLE.test(name)) return "***";
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, name));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutSecrets(item, key)]));
}

/** A tree as `a.b.c` and a number, truth value or text each; lists as JSON, nulls left out. */
export function flatConfig(tree: object, prefix = ""): [string, string | number | boolean][] {
  return Object.entries(tree).flatMap(([key, value]): [string, string | number | boolean][] => {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    if (value === null || value === undefined) return [];
    if (Array.isArray(value)) return [[path, JSON.stringify(value)]];
    if (typeof value === "object") return flatConfig(value, path);
    return [[path, typeof value === "number" || typeof value === "boolean" ? value : String(value)]];
  });
}
