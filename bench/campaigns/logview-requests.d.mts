export const SECRET: string;

export interface RequestOutcome {
  sent: number;
  /** Requests whose answer held {@link SECRET}. */
  leaks: string[];
  /** How often each status came; 0: the connection was closed, as for what is no HTTP. */
  statuses: Record<string, number>;
}

export function sendRandomRequests(port: number, token: string, count: number, seed?: number): Promise<RequestOutcome>;
