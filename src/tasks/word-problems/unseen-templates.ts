import { chain } from "./chains.js";
import { add, div, mul, sub } from "./expression.js";
import { distractor, type Template } from "./template.js";
import { DAYS, FRACTIONS, GOODS, onePerson, PLACES, THINGS } from "./vocabulary.js";

/** Templates that nothing is ever trained on: they measure what carries over to other stories. */
export const UNSEEN_TEMPLATES: readonly Template[] = [
  chain("number", ["loss", "loss"], "left"),
  chain("number", ["gain", "gain"], "left"),
  chain("number", ["gain", "loss"], "share"),
  chain("number", ["fraction-away", "loss"], "left"),
  chain("groups", ["loss", "gain"], "left"),
  chain("groups", [], "share"),
  chain("groups", ["gain"], "share"),
  chain("two-numbers", ["gain", "loss"], "left"),
  chain("two-numbers", ["loss"], "share"),
  {
    id: "unseen-visitors",
    make(d) {
      const [x, y] = d.sample(DAYS, 2) as [string, string];
      const [a, b] = [d.int(5, 90), d.int(2, 40)];
      return {
        text: `On ${x} ${a} visitors came to the ${d.pick(PLACES)}. On ${y} there were ${b} more than on ${x}. How many visitors came in total?`,
        answer: add(a, add(a, b)),
      };
    },
  },
  {
    id: "unseen-earnings-price",
    make(d) {
      const p = onePerson(d);
      const [good, goods] = d.pick(GOODS);
      const [a, b] = [d.int(2, 20), d.int(3, 30)];
      const c = d.int(2, Math.min(a * b - 1, 50));
      return {
        text: `${p.name} sells ${a} ${goods} for $${b} each. ${p.He} spends $${c} on a new ${good}. How much money does ${p.he} have left?`,
        answer: sub(mul(a, b), c),
      };
    },
  },
  {
    id: "unseen-distracted-share",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const b = d.int(2, 12);
      const a = b * d.int(2, 20);
      return {
        text: `${p.name} has ${a} ${thing}. ${distractor(d, p.name, p.he)} ${p.He} packs the ${thing} into ${b} boxes with the same number in each. How many ${thing} are in each box?`,
        answer: div(a, b),
      };
    },
  },
  {
    id: "unseen-fraction-kept",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const f = d.pick(FRACTIONS);
      const a = f.parts * d.int(3, 30);
      return {
        text: `${p.name} picks ${a} ${thing} in the morning. ${p.He} sells ${f.text} of them. How many ${thing} does ${p.he} still have?`,
        answer: sub(a, div(a, f.parts)),
      };
    },
  },
  {
    id: "unseen-seats-two-halls",
    make(d) {
      const [a, b, c] = [d.int(3, 20), d.int(4, 25), d.int(5, 90)];
      return {
        text: `The ${d.pick(PLACES)} has ${a} rows with ${b} seats in each row and another ${c} seats at the back. How many seats are there altogether?`,
        answer: add(mul(a, b), c),
      };
    },
  },
];
