import { expect, it } from "vitest";
import { LruCache } from "../../src/text/lru-cache.js";

it("forgets what was used longest ago", () => {
  const cache = new LruCache<string, number>(2);
  cache.set("a", 1);
  cache.set("b", 2);
  expect(cache.get("a")).toBe(1);
  cache.set("c", 3);
  expect(cache.get("b")).toBeUndefined();
  cache.set("a", 4);
  cache.set("d", 5);
  expect([cache.get("c"), cache.get("a"), cache.get("d"), cache.size]).toEqual([undefined, 4, 5, 2]);
});
