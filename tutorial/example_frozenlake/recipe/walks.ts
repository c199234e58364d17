import { Draw } from "../../../src/tasks/draw.js";
import { RULES } from "../env-server.js";
import { FrozenLakeEnv } from "../frozen-lake-env.js";
import { DIRECTIONS, type Direction, type Lake } from "../lake.js";

/** How a supervised walker takes its steps. Only one who looks gets far. */
export type Habit = "looks" | "hurries" | "strolls";

/** A conversation as `ajet sft` reads it: every step is supervised. */
export interface Walk {
  messages: { role: string; content: string }[];
  /** 1 where the goal was reached. */
  score: number;
}

/** A supervised walk. The same key, map and habit give the same walk. */
export function walkOver(lake: Lake, key: string, habit: Habit): Walk {
  const draw = new Draw(`ajet-walks/${key}`);
  const distances = lake.distances();
  const env = new FrozenLakeEnv(lake);
  const messages = [
    { role: "system", content: RULES },
    { role: "user", content: env.observation() },
  ];
  while (!env.isOver) {
    const said = SAYS[habit](env, draw, distances);
    messages.push({ role: "assistant", content: said }, { role: "user", content: env.step(said).text });
  }
  return { messages: messages.slice(0, -1), score: env.score };
}

type Says = (env: FrozenLakeEnv, draw: Draw, distances: ReadonlyMap<number, number>) => string;

const SAYS: Record<Habit, Says> = {
  /** Names the holes beside it, then takes a step of a shortest way. */
  looks(env, draw, distances) {
    const holes = DIRECTIONS.filter((direction) => env.lake.beside(env.at, direction).cell === "H");
    const seen = holes.length > 0 ? `hole ${holes.join(" and ")}` : "no hole";
    return `${seen}, so ${draw.pick(nearer(env, distances))}`;
  },
  /** Straight for the goal, whatever lies there. */
  hurries({ lake, at }, draw) {
    return draw.pick((["down", "right"] as const).filter((direction) => lake.beside(at, direction).cell !== "shore"));
  },
  strolls(_env, draw) {
    return draw.pick(DIRECTIONS);
  },
};

/** Steps that bring the walker nearer to the goal. */
function nearer({ lake, at }: FrozenLakeEnv, distances: ReadonlyMap<number, number>): Direction[] {
  const here = distances.get(lake.index(at)) as number;
  return DIRECTIONS.filter((direction) => {
    const { to, cell } = lake.beside(at, direction);
    return cell !== "H" && cell !== "shore" && distances.get(lake.index(to)) === here - 1;
  });
}
