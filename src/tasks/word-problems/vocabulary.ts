import type { Draw } from "../draw.js";

/** A person of a story. */
export interface Person {
  name: string;
  he: "he" | "she";
  He: "He" | "She";
  his: "his" | "her";
}

const HIS = ["Tom", "Ben", "Sam", "Leo", "Max", "Omar", "Ravi", "Jack", "Noah", "Luis", "Paul", "Ivan", "Kofi", "Hugo"];
const HER = [
  "Anna",
  "Mia",
  "Lucy",
  "Emma",
  "Zoe",
  "Nina",
  "Sara",
  "Lily",
  "Maya",
  "Rosa",
  "Jane",
  "Aiko",
  "Ines",
  "Ruth",
];

export function people(draw: Draw, count: number): Person[] {
  return draw.sample([...HIS, ...HER], count).map((name) => person(name));
}

export function onePerson(draw: Draw): Person {
  return person(draw.pick([...HIS, ...HER]));
}

function person(name: string): Person {
  return HIS.includes(name) ? { name, he: "he", He: "He", his: "his" } : { name, he: "she", He: "She", his: "her" };
}

/** Countable things a person collects, plural. */
export const THINGS = [
  "apples",
  "stickers",
  "marbles",
  "pencils",
  "books",
  "coins",
  "shells",
  "stamps",
  "cards",
  "balloons",
  "oranges",
  "cookies",
  "toys",
  "flowers",
  "beads",
  "stones",
  "buttons",
  "candles",
] as const;

/** What things come in, singular and plural. */
export const HOLDERS = [
  ["box", "boxes"],
  ["bag", "bags"],
  ["basket", "baskets"],
  ["shelf", "shelves"],
  ["jar", "jars"],
  ["crate", "crates"],
] as const;

/** Things with a price, singular and plural. */
export const GOODS = [
  ["shirt", "shirts"],
  ["pen", "pens"],
  ["cake", "cakes"],
  ["ticket", "tickets"],
  ["lamp", "lamps"],
  ["cup", "cups"],
  ["hat", "hats"],
  ["ball", "balls"],
  ["pie", "pies"],
  ["notebook", "notebooks"],
  ["chair", "chairs"],
  ["kite", "kites"],
] as const;

export const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;

export const PLACES = ["school", "shop", "farm", "library", "factory", "bakery", "museum", "park"] as const;

export const FRACTIONS = [
  { text: "half", parts: 2 },
  { text: "a third", parts: 3 },
  { text: "a quarter", parts: 4 },
  { text: "a fifth", parts: 5 },
] as const;
