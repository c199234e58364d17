import type { ChatMessage } from "../agent/task.js";
import { ApiError } from "./api-error.js";

/** An episode as it is offered to agents outside. */
export interface OfferedEpisode {
  episode_id: string;
  task: { task_id: string; main_query: string; init_messages: readonly ChatMessage[]; metadata: object };
  sample: number;
  step: number;
  mode: "train" | "eval";
  /** Time that the agent has from taking it; null: no limit. */
  timeout_s: number | null;
}

/** What an agent outside made of an episode. */
export interface EpisodeEnd {
  reward: number | null;
  is_success?: boolean;
  metadata: Record<string, unknown>;
  log_metrics: Record<string, number>;
}

/** How an offer ended. */
export type OfferEnd = { status: "ended"; output: EpisodeEnd } | { status: "aborted"; reason: string };

/** An offer and the session that it stands for. */
export interface Offer {
  readonly apiKey: string;
  readonly episode: OfferedEpisode;
}

interface OpenOffer extends Offer {
  isTaken: boolean;
  isOver: boolean;
  timer: NodeJS.Timeout | undefined;
  onEvent(event: "offered" | "taken"): void;
  finish(end: OfferEnd): void;
  readonly ended: Promise<OfferEnd>;
}

interface WaitingAgent {
  timeoutS: number | undefined;
  take(offer: Offer): void;
}

/** Where the run's episodes meet agents of other processes: who comes first waits for the other. */
export class EpisodeDesk {
  private readonly offers = new Map<string, OpenOffer>();
  private readonly agents = new Set<WaitingAgent>();

  /** Offers a session's episode; a second offer of it is the first one. */
  offer(apiKey: string, episode: OfferedEpisode, onEvent: (event: "offered" | "taken") => void): void {
    if (this.offers.has(apiKey)) return;
    onEvent("offered");
    let resolveEnd: (end: OfferEnd) => void = () => {};
    const ended = new Promise<OfferEnd>((resolve) => {
      resolveEnd = resolve;
    });
    const finish = (end: OfferEnd) => {
      offer.isOver = true;
      resolveEnd(end);
    };
    const state = { isTaken: false, isOver: false, timer: undefined };
    const offer: OpenOffer = { apiKey, episode, ...state, onEvent, finish, ended };
    this.offers.set(apiKey, offer);
    this.handToNext(offer);
  }

  /** Takes back what an agent was given that had gone by then: the next one gets it. */
  giveBack(apiKey: string): void {
    const offer = this.offers.get(apiKey);
    if (offer === undefined) return;
    clearTimeout(offer.timer);
    offer.isTaken = false;
    offer.onEvent("offered");
    this.handToNext(offer);
  }

  /** How a session's offer ended; undefined where it has not within `waitMs`. */
  async outcome(apiKey: string, waitMs: number): Promise<OfferEnd | undefined> {
    const offer = this.offers.get(apiKey);
    if (offer === undefined) throw new ApiError(409, "The episode was not offered", { code: "not_offered" });
    return await withinTime(offer.ended, waitMs);
  }

  /** The oldest episode that no agent has taken; undefined where none comes within `waitMs`. */
  async take(waitMs: number, timeoutS: number | undefined, signal: AbortSignal): Promise<Offer | undefined> {
    if (signal.aborted) return undefined;
    let agent: WaitingAgent | undefined;
    const handed = new Promise<Offer>((take) => {
      agent = { timeoutS, take };
    });
    const waiting = agent as unknown as WaitingAgent;
    const open = [...this.offers.values()].find((offer) => !offer.isTaken);
    if (open !== undefined) this.hand(open, waiting);
    else this.agents.add(waiting);
    const leave = () => void this.agents.delete(waiting);
    signal.addEventListener("abort", leave);
    try {
      return await withinTime(handed, waitMs);
    } finally {
      leave();
      signal.removeEventListener("abort", leave);
    }
  }

  /** Ends the episode of a session. @throws ApiError 409 where no agent has it, or where it has ended already. */
  finish(apiKey: string, end: OfferEnd): void {
    const offer = this.offers.get(apiKey);
    if (offer === undefined || !offer.isTaken) {
      throw new ApiError(409, "This key belongs to no episode that an agent has begun", { code: "not_begun" });
    }
    if (offer.isOver) throw new ApiError(409, "The episode has ended already", { code: "already_ended" });
    clearTimeout(offer.timer);
    offer.finish(end);
  }

  /** The session has ended: nobody can take or end its episode any more. */
  withdraw(apiKey: string): void {
    const offer = this.offers.get(apiKey);
    if (offer === undefined) return;
    clearTimeout(offer.timer);
    this.offers.delete(apiKey);
    offer.finish({ status: "aborted", reason: "The episode is over" });
  }

  private handToNext(offer: OpenOffer): void {
    const [agent] = this.agents;
    if (agent !== undefined) this.hand(offer, agent);
  }

  private hand(offer: OpenOffer, agent: WaitingAgent): void {
    this.agents.delete(agent);
    offer.isTaken = true;
    const { timeoutS } = agent;
    if (timeoutS !== undefined) {
      const reason = `it did not end the episode within the ${timeoutS} s that it had asked for`;
      offer.timer = setTimeout(() => offer.finish({ status: "aborted", reason }), timeoutS * 1000);
    }
    offer.onEvent("taken");
    agent.take(offer);
  }
}

async function withinTime<T>(promise: Promise<T>, waitMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), waitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
