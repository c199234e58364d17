import { createHash } from "node:crypto";
import { RULES } from "../env-server.js";
import { FrozenLakeEnv } from "../frozen-lake-env.js";
import { DIRECTIONS, type Direction, type Lake } from "../lake.js";

/** A conversation as `ajet sft` reads it. */
export interface Walk {
  messages: { role: string; content: string }[];
}

/**
 * A supervised walk. The same key and map give the same walk.
 * @param looks Of 256: how often the walker takes a step that leads to the goal. Else it goes anywhere.
 */
export function walkOver(lake: Lake, key: string, looks: number): Walk {
  const env = new FrozenLakeEnv(lake);
  const messages = [
    { role: "system", content: RULES },
    { role: "user", content: env.observation() },
  ];
  const distances = lake.distances();
  while (!env.isOver) {
    const [chance = 0, choice = 0] = createHash("sha256").update(`walk/${key}/${messages.length}`).digest();
    const said = pick(chance < looks ? shortest(env, distances) : DIRECTIONS, choice);
    messages.push({ role: "assistant", content: said }, { role: "user", content: env.step(said).text });
  }
  return { messages: messages.slice(0, -1) };
}

/** Steps that bring the walker nearer to the goal. */
function shortest({ lake, at }: FrozenLakeEnv, distances: ReadonlyMap<number, number>): Direction[] {
  const here = distances.get(lake.index(at)) as number;
  return DIRECTIONS.filter((direction) => {
    const { to, cell } = lake.beside(at, direction);
    return cell !== "H" && cell !== "shore" && distances.get(lake.index(to)) === here - 1;
  });
}

function pick<T>(list: readonly T[], byte: number): T {
  return list[byte % list.length] as T;
}
