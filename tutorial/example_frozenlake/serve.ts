/** `npx tsx tutorial/example_frozenlake/serve.ts [PORT]`: the environment service of this tutorial (default: 8080). */
import { FrozenLakeServer } from "./env-server.js";

const server = await FrozenLakeServer.start(Number(process.argv[2] ?? 8080));
console.log(`Starting server on ${server.url.slice("http://".length)}`);
