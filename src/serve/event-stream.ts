import type { ServerResponse } from "node:http";
import type { ApiError } from "./api-error.js";

/** Server-sent events on a raw response. Writing to a client that has gone is no error. */
export class EventStream {
  constructor(private readonly response: ServerResponse) {
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      connection: "keep-alive",
      // Proxies would otherwise collect the events.
      "x-accel-buffering": "no",
    });
    response.flushHeaders();
  }

  send(body: object): void {
    this.write(`data: ${JSON.stringify(body)}\n\n`);
  }

  /** An event whose name is its body's `type`. */
  sendNamed(body: { type: string }): void {
    this.write(`event: ${body.type}\ndata: ${JSON.stringify(body)}\n\n`);
  }

  /** The end of a stream that has no mark for it. */
  end(): void {
    this.response.end();
  }

  /** The regular end. */
  done(): void {
    this.write("data: [DONE]\n\n");
    this.response.end();
  }

  /** The end after a failure: the status is long sent, so the error itself is the last event. */
  fail(error: ApiError): void {
    this.send(error.body);
    this.response.end();
  }

  private write(text: string): void {
    if (!this.response.destroyed && !this.response.writableEnded) this.response.write(text);
  }
}
