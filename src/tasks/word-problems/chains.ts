import type { Draw } from "../draw.js";
import { add, div, type Expression, mul, num, sub } from "./expression.js";
import { distractor, type Template } from "./template.js";
import { FRACTIONS, HOLDERS, type Person, people, THINGS } from "./vocabulary.js";

/** How a chain begins: a number, groups of equal size, or two numbers. */
type Opening = "number" | "groups" | "two-numbers";
/** What happens on the way. */
type Step = "gain" | "loss" | "fraction-away";
/** What is asked. */
type Ending = "left" | "share";

/** A story in progress. */
interface Story {
  draw: Draw;
  hero: Person;
  friend: Person;
  thing: string;
  sentences: string[];
  value: Expression;
}

/** The most that a gain adds, and the least that a loss leaves. */
const MOST_GAINED = 60;
const LEAST_LEFT = 3;

/**
 * A template of sentences that follow each other: an opening, some steps, a question. Templates of the same parts in
 * another order are different templates, and tell whether a model reads the sentences or the whole.
 */
export function chain(opening: Opening, steps: readonly Step[], ending: Ending): Template {
  return {
    id: ["chain", opening, ...steps, ending].join("-"),
    make(draw) {
      const [hero, friend] = people(draw, 2) as [Person, Person];
      const story: Story = { draw, hero, friend, thing: draw.pick(THINGS), sentences: [], value: num(0) };
      open(story, opening);
      for (const step of steps) continueWith(story, step);
      if (draw.chance(12)) story.sentences.splice(draw.int(0, 1), 0, distractor(draw, hero.name, hero.he));
      return ending === "left" ? askWhatIsLeft(story, steps.at(-1)) : askForShares(story);
    },
  };
}

function open(story: Story, opening: Opening): void {
  const { draw, hero, thing } = story;
  if (opening === "number") {
    const a = draw.int(12, 99);
    story.value = num(a);
    story.sentences.push(
      draw.pick([
        `${hero.name} has ${a} ${thing}.`,
        `${hero.name} had ${a} ${thing}.`,
        `There are ${a} ${thing} in the box of ${hero.name}.`,
        `${hero.name} starts the day with ${a} ${thing}.`,
      ]),
    );
  } else if (opening === "groups") {
    const [one, many] = draw.pick(HOLDERS);
    const [a, b] = [draw.int(2, 12), draw.int(4, 25)];
    story.value = mul(a, b);
    story.sentences.push(
      draw.pick([
        `${hero.name} has ${a} ${many} with ${b} ${thing} in each ${one}.`,
        `${hero.name} buys ${a} ${many} of ${thing}, and each ${one} holds ${b} ${thing}.`,
        `${hero.name} fills ${a} ${many} with ${b} ${thing} each.`,
      ]),
    );
  } else {
    const [a, b] = [draw.int(5, 70), draw.int(5, 70)];
    story.value = add(a, b);
    story.sentences.push(
      draw.pick([
        `${hero.name} picks ${a} ${thing} in the morning and ${b} ${thing} in the afternoon.`,
        `${hero.name} has ${a} red ${thing} and ${b} blue ${thing}.`,
        `${hero.name} got ${a} ${thing} from ${story.friend.name} and ${b} ${thing} at school.`,
      ]),
    );
  }
}

function continueWith(story: Story, step: Step): void {
  const { draw, hero, friend } = story;
  if (step === "gain") {
    const b = draw.int(2, MOST_GAINED);
    story.value = add(story.value, b);
    story.sentences.push(
      draw.pick([
        `${hero.He} buys ${b} more.`,
        `${hero.He} finds ${b} more.`,
        `${friend.name} gives ${hero.name} another ${b}.`,
        `Then ${hero.he} gets ${b} more from ${friend.name}.`,
        `${hero.He} makes another ${b}.`,
      ]),
    );
  } else if (step === "loss") {
    const b = draw.int(2, Math.max(2, Math.min(60, story.value.value - LEAST_LEFT)));
    story.value = sub(story.value, b);
    story.sentences.push(
      draw.pick([
        `${hero.He} gives away ${b}.`,
        `${hero.He} loses ${b} of them on the way home.`,
        `${hero.He} gives ${b} of them to ${friend.name}.`,
        `Then ${hero.he} sells ${b} of them.`,
        `${b} of them get lost.`,
      ]),
    );
  } else {
    const fraction = draw.pick(FRACTIONS);
    // Made to come out whole: the opening number is replaced by a multiple.
    const a = fraction.parts * draw.int(4, 24);
    const old = String(story.value.value);
    story.sentences[0] = (story.sentences[0] as string).replace(old, String(a));
    story.value = sub(a, div(a, fraction.parts));
    story.sentences.push(
      draw.pick([
        `${hero.He} gives ${fraction.text} of them away.`,
        `${hero.He} sells ${fraction.text} of them.`,
        `${hero.He} gives ${fraction.text} of them to ${friend.name}.`,
      ]),
    );
  }
}

function askWhatIsLeft(story: Story, last: Step | undefined): { text: string; answer: Expression } {
  const { draw, hero, thing } = story;
  const questions = [
    `How many ${thing} does ${hero.name} have now?`,
    `How many ${thing} does ${hero.he} have in the end?`,
    last === "gain" || last === undefined ? `How many ${thing} are there altogether?` : `How many ${thing} are left?`,
  ];
  return { text: [...story.sentences, draw.pick(questions)].join(" "), answer: story.value };
}

/** Shares what there is. The divisor is one of the value's, so that the answer is whole. */
function askForShares(story: Story): { text: string; answer: Expression } {
  const { draw, hero, thing, value } = story;
  const divisors = [2, 3, 4, 5, 6, 7, 8, 9, 10].filter((c) => value.value % c === 0 && value.value > c);
  // No divisor: an answer that is not positive, so that the problem is drawn again.
  if (divisors.length === 0) return { text: "", answer: num(0) };
  const c = draw.pick(divisors);
  const rest = draw.pick(["them", `the ${thing}`]);
  const question = draw.pick([
    `${hero.He} shares ${rest} equally among ${c} friends. How many ${thing} does each friend get?`,
    `${hero.He} packs ${rest} into ${c} boxes with the same number in each. How many ${thing} are in each box?`,
    `${hero.He} puts ${rest} into ${c} equal groups. How many ${thing} are in each group?`,
  ]);
  return { text: [...story.sentences, question].join(" "), answer: div(value, c) };
}
