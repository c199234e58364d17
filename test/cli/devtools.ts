import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { request } from "node:http";
import { SourceMap } from "node:module";
import type { Socket } from "node:net";

/** What a test looks into. */
// biome-ignore lint/suspicious/noExplicitAny: the protocol's objects
type Message = any;

/** A client of the Chrome DevTools Protocol, as a debugger such as VS Code's is one. */
export class Devtools {
  private readonly arrivals = new EventEmitter();
  private readonly events: { method: string; params: Message }[] = [];
  private readonly answers = new Map<number, (message: Message) => void>();
  private received = Buffer.alloc(0);
  private text = "";
  private nextId = 1;

  private constructor(private readonly socket: Socket) {
    socket.on("data", (data: Buffer) => this.receive(data));
    socket.on("error", () => {});
  }

  /** @param url `ws://…`, as node prints it. */
  static async connect(url: string): Promise<Devtools> {
    const { hostname, port, pathname } = new URL(url);
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    };
    const upgrade = request({ hostname, port, path: pathname, headers });
    upgrade.end();
    const [, socket, head] = (await once(upgrade, "upgrade")) as [unknown, Socket, Buffer];
    const devtools = new Devtools(socket);
    if (head.length > 0) devtools.receive(head);
    return devtools;
  }

  /** Calls a method. Rejects where the other side refuses it. */
  async call(method: string, params: object = {}): Promise<Message> {
    const id = this.nextId++;
    const answer = new Promise<Message>((resolve) => this.answers.set(id, resolve));
    this.socket.write(frame(JSON.stringify({ id, method, params })));
    const { result, error } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  /** The first event of a kind that nobody has asked for yet. */
  async event(method: string): Promise<Message> {
    for (;;) {
      const index = this.events.findIndex((event) => event.method === method);
      if (index >= 0) return this.events.splice(index, 1)[0]?.params;
      await once(this.arrivals, "event");
    }
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(data: Buffer): void {
    this.received = Buffer.concat([this.received, data]);
    for (let found = unframe(this.received); found !== undefined; found = unframe(this.received)) {
      this.received = this.received.subarray(found.length);
      this.text += found.text;
      if (!found.isLast) continue;
      const message = JSON.parse(this.text);
      this.text = "";
      if (message.id === undefined) {
        this.events.push(message);
        this.arrivals.emit("event");
      } else this.answers.get(message.id)?.(message);
    }
  }
}

/** A text frame of RFC 6455; a client masks its frames. */
function frame(text: string): Buffer {
  const payload = Buffer.from(text);
  const mask = randomBytes(4);
  for (const [i, byte] of payload.entries()) payload[i] = byte ^ (mask[i % 4] as number);
  const length = Buffer.alloc(3);
  if (payload.length < 126) return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload]);
  length.writeUInt8(0x80 | 126, 0);
  length.writeUInt16BE(payload.length, 1);
  return Buffer.concat([Buffer.from([0x81]), length, mask, payload]);
}

function unframe(data: Buffer): { text: string; isLast: boolean; length: number } | undefined {
  if (data.length < 2) return undefined;
  const short = (data[1] as number) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (data.length < start) return undefined;
  const length = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
  if (data.length < start + length) return undefined;
  const text = data.subarray(start, start + length).toString("utf8");
  return { text, isLast: ((data[0] as number) & 0x80) !== 0, length: start + length };
}

/** Where a line of a source (from 0) begins in what runs, by the source map that the script names. */
export function generatedLocation(script: { sourceMapURL: string; source: string }, line: number) {
  const base64 = script.sourceMapURL.slice(script.sourceMapURL.indexOf("base64,") + "base64,".length);
  const map = new SourceMap(JSON.parse(Buffer.from(base64, "base64").toString("utf8")));
  for (const [lineNumber, text] of script.source.split("\n").entries()) {
    for (let columnNumber = 0; columnNumber < text.length; columnNumber++) {
      const entry = map.findEntry(lineNumber, columnNumber);
      const isStart = "generatedColumn" in entry && entry.generatedColumn === columnNumber;
      if (isStart && entry.generatedLine === lineNumber && entry.originalLine === line) {
        return { lineNumber, columnNumber };
      }
    }
  }
  throw new Error(`Nothing of line ${line} runs`);
}
