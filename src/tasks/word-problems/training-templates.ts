import { chain } from "./chains.js";
import { add, div, mul, sub } from "./expression.js";
import { distractor, type Template } from "./template.js";
import { DAYS, FRACTIONS, GOODS, HOLDERS, onePerson, PLACES, people, THINGS } from "./vocabulary.js";

/** The templates that train, supervise and validate. Numbers, names and things are drawn anew for each problem. */
export const TRAINING_TEMPLATES: readonly Template[] = [
  {
    id: "gain",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const thing = d.pick(THINGS);
      const [a, b] = [d.int(3, 90), d.int(2, 60)];
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${q.name} gives ${p.name} ${b} more ${thing}. How many ${thing} does ${p.name} have now?`,
        `${p.name} had ${a} ${thing} and then got ${b} more from ${q.name}. How many ${thing} does ${p.he} have in total?`,
      ]);
      return { text, answer: add(a, b) };
    },
  },
  {
    id: "loss",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const b = d.int(2, 50);
      const a = b + d.int(3, 60);
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${p.He} gives away ${b} of them. How many ${thing} are left?`,
        `There are ${a} ${thing} on the table. ${p.name} takes ${b} of them. How many ${thing} are left on the table?`,
      ]);
      return { text, answer: sub(a, b) };
    },
  },
  {
    id: "gain-loss",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [a, b] = [d.int(10, 80), d.int(3, 40)];
      const c = d.int(2, a + b - 3);
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${p.He} buys ${b} more and then gives away ${c}. How many ${thing} does ${p.name} have now?`,
        `On ${d.pick(DAYS)} ${p.name} had ${a} ${thing}. ${p.He} found ${b} more, but lost ${c} on the way home. How many ${thing} are left?`,
      ]);
      return { text, answer: sub(add(a, b), c) };
    },
  },
  {
    id: "groups",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [one, many] = d.pick(HOLDERS);
      const [a, b] = [d.int(2, 20), d.int(3, 40)];
      const text = d.pick([
        `${p.name} has ${a} ${many} with ${b} ${thing} in each ${one}. How many ${thing} does ${p.name} have?`,
        `There are ${b} ${thing} in every ${one}. How many ${thing} are there in ${a} ${many}?`,
      ]);
      const answer = text.startsWith("There") ? mul(b, a) : mul(a, b);
      return { text, answer };
    },
  },
  {
    id: "groups-loss",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [one, many] = d.pick(HOLDERS);
      const [a, b] = [d.int(2, 15), d.int(4, 30)];
      const c = d.int(2, a * b - 2 > 60 ? 60 : a * b - 2);
      const text = d.pick([
        `${p.name} has ${a} ${many} with ${b} ${thing} in each ${one}. ${p.He} gives away ${c} ${thing}. How many ${thing} are left?`,
        `${p.name} fills ${a} ${many} with ${b} ${thing} each. Then ${c} of the ${thing} get lost. How many ${thing} does ${p.he} still have?`,
      ]);
      return { text, answer: sub(mul(a, b), c) };
    },
  },
  {
    id: "groups-gain",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const thing = d.pick(THINGS);
      const [one, many] = d.pick(HOLDERS);
      const [a, b, c] = [d.int(2, 15), d.int(3, 30), d.int(2, 60)];
      const text = d.pick([
        `${p.name} buys ${a} ${many} of ${thing}. Each ${one} holds ${b} ${thing}. ${q.name} brings ${c} more ${thing}. How many ${thing} are there in total?`,
        `There are ${a} ${many} with ${b} ${thing} in each ${one}, and ${p.name} has another ${c} ${thing} at home. How many ${thing} are there altogether?`,
      ]);
      return { text, answer: add(mul(a, b), c) };
    },
  },
  {
    id: "price",
    make(d) {
      const p = onePerson(d);
      const [good, goods] = d.pick(GOODS);
      const [a, b] = [d.int(2, 20), d.int(2, 45)];
      const text = d.pick([
        `Each ${good} costs $${b}. ${p.name} buys ${a} ${goods}. How much does ${p.he} pay?`,
        `A ${good} costs ${b} dollars. How many dollars does ${p.name} need for ${a} ${goods}?`,
      ]);
      return { text, answer: mul(b, a) };
    },
  },
  {
    id: "price-two",
    make(d) {
      const p = onePerson(d);
      const [x, y] = d.sample(GOODS, 2) as [(typeof GOODS)[number], (typeof GOODS)[number]];
      const [a, b, c, e] = [d.int(2, 12), d.int(2, 30), d.int(2, 12), d.int(2, 30)];
      const text = d.pick([
        `${p.name} buys ${a} ${x[1]} for $${b} each and ${c} ${y[1]} for $${e} each. How much does ${p.he} spend in total?`,
        `At the shop ${p.name} takes ${a} ${x[1]} at ${b} dollars each and ${c} ${y[1]} at ${e} dollars each. How many dollars does ${p.name} pay?`,
      ]);
      return { text, answer: add(mul(a, b), mul(c, e)) };
    },
  },
  {
    id: "change",
    make(d) {
      const p = onePerson(d);
      const [good, goods] = d.pick(GOODS);
      const [a, b] = [d.int(2, 9), d.int(2, 19)];
      const c = a * b + d.int(1, 60);
      const text = d.pick([
        `${p.name} buys ${a} ${goods} for $${b} each and pays with $${c}. How much change does ${p.he} get?`,
        `A ${good} costs $${b}. ${p.name} has $${c} and buys ${a} ${goods}. How much money is left?`,
      ]);
      return { text, answer: text.startsWith("A ") ? sub(c, mul(b, a)) : sub(c, mul(a, b)) };
    },
  },
  {
    id: "share",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const b = d.int(2, 12);
      const a = b * d.int(2, 25);
      const text = d.pick([
        `${p.name} shares ${a} ${thing} equally among ${b} friends. How many ${thing} does each friend get?`,
        `${p.name} has ${a} ${thing} and puts the same number into each of ${b} bags. How many ${thing} are in each bag?`,
      ]);
      return { text, answer: div(a, b) };
    },
  },
  {
    id: "gain-share",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const c = d.int(2, 9);
      const total = c * d.int(4, 22);
      const b = d.int(2, total - 3);
      const a = total - b;
      const text = d.pick([
        `${p.name} has ${a} ${thing} and buys ${b} more. ${p.He} shares them equally among ${c} friends. How many ${thing} does each friend get?`,
        `${p.name} picks ${a} ${thing} in the morning and ${b} ${thing} in the afternoon, and divides all of them equally into ${c} boxes. How many ${thing} are in each box?`,
      ]);
      return { text, answer: div(add(a, b), c) };
    },
  },
  {
    id: "loss-share",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const c = d.int(2, 9);
      const rest = c * d.int(3, 20);
      const b = d.int(2, 30);
      const a = rest + b;
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${p.He} keeps ${b} of them and shares the rest equally among ${c} friends. How many ${thing} does each friend get?`,
        `Of ${a} ${thing}, ${b} are broken. ${p.name} packs the good ones into ${c} boxes with the same number in each. How many ${thing} are in each box?`,
      ]);
      return { text, answer: div(sub(a, b), c) };
    },
  },
  {
    id: "fraction-left",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const f = d.pick(FRACTIONS);
      const a = f.parts * d.int(3, 30);
      const text = d.pick([
        `${p.name} has ${a} ${thing} and gives ${f.text} of them away. How many ${thing} are left?`,
        `There are ${a} ${thing} at the ${d.pick(PLACES)}. ${p.name} sells ${f.text} of them. How many ${thing} are not sold?`,
      ]);
      return { text, answer: sub(a, div(a, f.parts)) };
    },
  },
  {
    id: "fraction-sum",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const thing = d.pick(THINGS);
      const f = d.pick(FRACTIONS);
      const a = f.parts * d.int(3, 30);
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${q.name} has ${f.text} as many. How many ${thing} do they have together?`,
        `${p.name} sold ${a} ${thing} on ${d.pick(DAYS)} and ${f.text} as many the day after. How many ${thing} did ${p.he} sell in total?`,
      ]);
      return { text, answer: add(a, div(a, f.parts)) };
    },
  },
  {
    id: "percent-off",
    make(d) {
      const p = onePerson(d);
      const [good] = d.pick(GOODS);
      const percent = d.pick([10, 20, 25, 50, 75]);
      const a = d.int(1, 20) * 20;
      const text = d.pick([
        `A ${good} costs $${a}. ${p.name} gets ${percent}% off. How much does ${p.he} pay?`,
        `The price of a ${good} is ${a} dollars. Today it is ${percent}% cheaper. How many dollars does ${p.name} pay?`,
      ]);
      return { text, answer: sub(a, div(mul(a, percent), 100)) };
    },
  },
  {
    id: "percent-of",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const percent = d.pick([5, 10, 20, 25, 30, 40, 50, 60, 75, 80]);
      const a = d.int(1, 20) * 20;
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${percent}% of them are red. How many red ${thing} does ${p.he} have?`,
        `Of the ${a} ${thing} at the ${d.pick(PLACES)}, ${percent}% belong to ${p.name}. How many ${thing} belong to ${p.name}?`,
      ]);
      return { text, answer: div(mul(a, percent), 100) };
    },
  },
  {
    id: "wages",
    make(d) {
      const p = onePerson(d);
      const [a, b, c] = [d.int(5, 40), d.int(2, 10), d.int(2, 7)];
      const text = d.pick([
        `${p.name} earns $${a} an hour and works ${b} hours a day. How much does ${p.he} earn in ${c} days?`,
        `${p.name} works ${b} hours a day for ${c} days and earns $${a} an hour. How much does ${p.he} earn?`,
      ]);
      return { text, answer: text.startsWith(`${p.name} earns`) ? mul(mul(a, b), c) : mul(mul(b, c), a) };
    },
  },
  {
    id: "wages-spend",
    make(d) {
      const p = onePerson(d);
      const [good] = d.pick(GOODS);
      const [a, b] = [d.int(5, 30), d.int(3, 12)];
      const c = d.int(2, Math.min(a * b - 1, 90));
      const text = d.pick([
        `${p.name} earns $${a} an hour and works ${b} hours. Then ${p.he} buys a ${good} for $${c}. How much money does ${p.name} have left?`,
        `For every hour of work ${p.name} gets ${a} dollars. After ${b} hours ${p.he} spends ${c} dollars on a ${good}. How many dollars are left?`,
      ]);
      return { text, answer: sub(mul(a, b), c) };
    },
  },
  {
    id: "times-more",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const thing = d.pick(THINGS);
      const [a, b] = [d.int(3, 50), d.int(2, 9)];
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${q.name} has ${b} times as many. How many ${thing} do they have together?`,
        `${p.name} read ${a} pages. ${q.name} read ${b} times as many pages. How many pages did they read in total?`,
      ]);
      return { text, answer: add(a, mul(a, b)) };
    },
  },
  {
    id: "more-than",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const thing = d.pick(THINGS);
      const [a, b] = [d.int(3, 80), d.int(2, 40)];
      const text = d.pick([
        `${p.name} has ${a} ${thing}. ${q.name} has ${b} more than ${p.name}. How many ${thing} do they have together?`,
        `${p.name} made ${a} ${thing}, and ${q.name} made ${b} more than that. How many ${thing} did the two of them make?`,
      ]);
      return { text, answer: add(a, add(a, b)) };
    },
  },
  {
    id: "weeks",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [a, b] = [d.int(2, 20), d.int(2, 12)];
      const text = d.pick([
        `${p.name} makes ${a} ${thing} every day. How many ${thing} does ${p.he} make in ${b} weeks?`,
        `Every day ${p.name} sells ${a} ${thing}. How many ${thing} does ${p.he} sell in ${b} weeks?`,
      ]);
      return { text, answer: mul(mul(a, 7), b) };
    },
  },
  {
    id: "saving",
    make(d) {
      const p = onePerson(d);
      const [good] = d.pick(GOODS);
      const b = d.int(2, 12);
      const weeks = d.int(2, 20);
      const saved = d.int(2, 60);
      const price = saved + b * weeks;
      const text = d.pick([
        `${p.name} wants a ${good} that costs $${price}. ${p.He} has $${saved} and saves $${b} each week. How many weeks does ${p.he} need?`,
        `A ${good} costs ${price} dollars. ${p.name} already has ${saved} dollars and puts aside ${b} dollars a week. After how many weeks can ${p.he} buy it?`,
      ]);
      return { text, answer: div(sub(price, saved), b) };
    },
  },
  {
    id: "distance",
    make(d) {
      const p = onePerson(d);
      const [a, b, c] = [d.int(20, 90), d.int(2, 9), d.int(5, 90)];
      const text = d.pick([
        `${p.name} drives ${a} miles an hour for ${b} hours and then ${c} miles more. How many miles does ${p.he} drive in total?`,
        `A train goes ${a} miles an hour. After ${b} hours it still has ${c} miles to go. How long is the whole way in miles?`,
      ]);
      return { text, answer: add(mul(a, b), c) };
    },
  },
  {
    id: "rows-of-seats",
    make(d) {
      const p = onePerson(d);
      const [a, b] = [d.int(3, 20), d.int(4, 25)];
      const c = d.int(2, Math.min(a * b - 2, 90));
      const place = d.pick(PLACES);
      const text = d.pick([
        `The hall of the ${place} has ${a} rows with ${b} seats in each row. ${c} seats are taken. How many seats are free?`,
        `${p.name} puts chairs into ${a} rows of ${b}. People sit on ${c} of the chairs. How many chairs are empty?`,
      ]);
      return { text, answer: sub(mul(a, b), c) };
    },
  },
  {
    id: "packs",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const b = d.int(2, 12);
      const packs = d.int(3, 15);
      const price = d.int(2, 12);
      const a = b * packs;
      const text = d.pick([
        `${p.name} needs ${a} ${thing}. They come in packs of ${b}, and a pack costs $${price}. How much does ${p.he} pay?`,
        `A pack of ${b} ${thing} costs $${price}. How much does ${p.name} pay for ${a} ${thing}?`,
      ]);
      return { text, answer: mul(div(a, b), price) };
    },
  },
  {
    id: "three-days",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [x, y, z] = d.sample(DAYS, 3) as [string, string, string];
      const [a, b, c] = [d.int(2, 60), d.int(2, 60), d.int(2, 60)];
      const text = d.pick([
        `${p.name} sold ${a} ${thing} on ${x}, ${b} on ${y} and ${c} on ${z}. How many ${thing} did ${p.he} sell in total?`,
        `On ${x} there were ${a} visitors at the ${d.pick(PLACES)}, on ${y} ${b} and on ${z} ${c}. How many visitors came altogether?`,
      ]);
      return { text, answer: add(add(a, b), c) };
    },
  },
  {
    id: "distracted-loss",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const b = d.int(2, 50);
      const a = b + d.int(3, 60);
      const noise = distractor(d, p.name, p.he);
      return {
        text: `${noise} ${p.name} has ${a} ${thing} and gives ${b} of them to a friend. How many ${thing} does ${p.name} have now?`,
        answer: sub(a, b),
      };
    },
  },
  {
    id: "distracted-groups",
    make(d) {
      const p = onePerson(d);
      const thing = d.pick(THINGS);
      const [one, many] = d.pick(HOLDERS);
      const [a, b] = [d.int(2, 15), d.int(3, 30)];
      const noise = distractor(d, p.name, p.he);
      return {
        text: `${p.name} buys ${a} ${many} of ${thing}. ${noise} Each ${one} holds ${b} ${thing}. How many ${thing} does ${p.name} buy?`,
        answer: mul(a, b),
      };
    },
  },
  {
    id: "distracted-price",
    make(d) {
      const p = onePerson(d);
      const [good, goods] = d.pick(GOODS);
      const [a, b] = [d.int(2, 15), d.int(2, 40)];
      const c = d.int(2, 30);
      const noise = distractor(d, p.name, p.he);
      return {
        text: `${noise} A ${good} costs $${b}, and the bus to the shop costs $${c}. How much does ${p.name} pay for the bus and ${a} ${goods}?`,
        answer: add(mul(b, a), c),
      };
    },
  },
  {
    id: "profit",
    make(d) {
      const p = onePerson(d);
      const [, goods] = d.pick(GOODS);
      const [a, cost] = [d.int(3, 25), d.int(2, 20)];
      const price = cost + d.int(1, 20);
      const text = d.pick([
        `${p.name} buys ${a} ${goods} for $${cost} each and sells them for $${price} each. How much profit does ${p.he} make?`,
        `It costs ${p.name} $${cost} to make one of ${p.his} ${goods}, and ${p.he} sells each for $${price}. What is the profit on ${a} ${goods}?`,
      ]);
      return { text, answer: mul(sub(price, cost), a) };
    },
  },
  {
    id: "ages",
    make(d) {
      const [p, q] = people(d, 2) as [ReturnType<typeof onePerson>, ReturnType<typeof onePerson>];
      const [a, b, c] = [d.int(5, 40), d.int(2, 25), d.int(2, 20)];
      const text = d.pick([
        `${p.name} is ${a} years old. ${q.name} is ${b} years older than ${p.name}. How old will ${q.name} be in ${c} years?`,
        `${q.name} is ${b} years older than ${p.name}, who is ${a}. What will be the age of ${q.name} in ${c} years?`,
      ]);
      return { text, answer: text.startsWith(q.name) ? add(add(b, a), c) : add(add(a, b), c) };
    },
  },
  {
    id: "share-price",
    make(d) {
      const p = onePerson(d);
      const [, goods] = d.pick(GOODS);
      const c = d.int(2, 9);
      const b = c * d.int(1, 8);
      const a = d.int(2, 12);
      const text = d.pick([
        `${p.name} and some friends buy ${a} ${goods} for $${b} each. The ${c} of them share the cost equally. How much does each of them pay?`,
        `${c} friends buy ${a} ${goods} at $${b} each and split the bill equally. How much does each friend pay?`,
      ]);
      return { text, answer: div(mul(a, b), c) };
    },
  },
  chain("number", ["gain"], "left"),
  chain("number", ["loss"], "left"),
  chain("number", ["gain", "loss"], "left"),
  chain("number", ["loss", "gain"], "left"),
  chain("number", ["gain", "loss", "gain"], "left"),
  chain("number", ["loss", "gain", "loss"], "left"),
  chain("number", ["gain", "gain", "loss"], "left"),
  chain("number", ["loss", "loss", "gain"], "left"),
  chain("number", [], "share"),
  chain("number", ["gain"], "share"),
  chain("number", ["loss"], "share"),
  chain("number", ["loss", "gain"], "share"),
  chain("number", ["gain", "loss", "gain"], "share"),
  chain("number", ["fraction-away"], "left"),
  chain("number", ["fraction-away", "gain"], "left"),
  chain("groups", [], "left"),
  chain("groups", ["gain"], "left"),
  chain("groups", ["loss"], "left"),
  chain("groups", ["gain", "loss"], "left"),
  chain("groups", ["loss"], "share"),
  chain("two-numbers", [], "left"),
  chain("two-numbers", ["loss"], "left"),
  chain("two-numbers", ["gain"], "left"),
  chain("two-numbers", [], "share"),
  chain("two-numbers", ["loss", "gain"], "left"),
];
