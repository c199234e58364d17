import type { FastifyInstance } from "fastify";
import { ConfigError } from "../native/errors.js";

/**
 * Has a server take requests.
 * @param port 0: a free one.
 * @returns The port.
 * @throws ConfigError where the address cannot be had.
 */
export async function listen(server: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await server.listen({ host, port });
  } catch (cause) {
    throw new ConfigError(`Cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause });
  }
  return (server.server.address() as { port: number }).port;
}
