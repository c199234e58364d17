import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EngineStats } from "../native/types.js";
import type { TextEngine } from "./text-engine.js";

const SECONDS_BUCKETS = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300];

/** A metric's name in Prometheus' spelling: `critic/rewards/mean` is `ajet_critic_rewards_mean`. */
export function prometheusName(metric: string): string {
  return `ajet_${metric.replace(/[^a-zA-Z0-9_]/g, "_")}`;
}

/** The server's Prometheus metrics, in a registry of their own. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly requests = new Counter({
    name: "ajet_requests_total",
    help: "Answered requests by route and HTTP status; 499: the client went away.",
    labelNames: ["route", "status"],
    registers: [this.registry],
  });
  private readonly tokens = new Counter({
    name: "ajet_tokens_total",
    help: "Tokens of answered chat requests.",
    labelNames: ["kind"],
    registers: [this.registry],
  });
  private readonly seconds = new Histogram({
    name: "ajet_request_seconds",
    help: "Time from a chat request to the end of its answer, queueing included.",
    buckets: SECONDS_BUCKETS,
    registers: [this.registry],
  });

  private readonly published = new Map<string, Gauge>();

  constructor(engine: TextEngine, pending: () => number) {
    const registers = [this.registry];
    new Gauge({
      name: "ajet_requests_pending",
      help: "Chat requests waiting or running.",
      registers,
      collect() {
        this.set(pending());
      },
    });
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Memory of the process that is in RAM, weights on the CPU included.",
      registers,
      collect() {
        this.set(process.memoryUsage.rss());
      },
    });
    new Gauge({
      name: "ajet_weights_version",
      help: "Version of the weights that answer.",
      registers,
      collect() {
        this.set(engine.version());
      },
    });
    new Gauge({
      name: "ajet_engine",
      help: "The engine's own counters and levels.",
      labelNames: ["stat"],
      registers,
      async collect() {
        const stats: EngineStats | undefined = await engine.stats?.();
        for (const [stat, value] of Object.entries(stats ?? {})) this.set({ stat }, Number(value));
      },
    });
  }

  /** Sets a gauge for each number. A workflow's names may differ in signs that Prometheus has not: then the last holds. */
  publish(values: Readonly<Record<string, number>>): void {
    for (const [metric, value] of Object.entries(values)) {
      const name = prometheusName(metric);
      let gauge = this.published.get(name);
      if (gauge === undefined) {
        gauge = new Gauge({ name, help: `${metric}, see docs/metrics.md`, registers: [this.registry] });
        this.published.set(name, gauge);
      }
      gauge.set(value);
    }
  }

  /** Counts an answer. */
  countRequest(route: string, status: number): void {
    this.requests.inc({ route, status: String(status) });
  }

  /** Counts a finished chat request. */
  countCompletion(promptTokens: number, completionTokens: number, seconds: number): void {
    this.tokens.inc({ kind: "prompt" }, promptTokens);
    this.tokens.inc({ kind: "completion" }, completionTokens);
    this.seconds.observe(seconds);
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  /** Prometheus' text format. */
  render(): Promise<string> {
    return this.registry.metrics();
  }
}
