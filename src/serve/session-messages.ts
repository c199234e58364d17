import { LruCache } from "../text/lru-cache.js";
import type { ConversationMessage } from "./chat-messages.js";
import { messageKey } from "./message-keys.js";

/** A reply of the server, with the tokens that it was made of. */
export interface RecordedReply {
  /** Key of everything that stood before it (`conversationKeys`). */
  conversation: string;
  /** The request's messages. */
  messages: readonly ConversationMessage[];
  reply: ConversationMessage;
  promptIds: Int32Array;
  sampledIds: Int32Array;
}

/** Enough for any episode; a server with one fixed key forgets the oldest. */
const REMEMBERED_REPLIES = 8192;

/** Replies of one conversation that are kept to say what a client changed. */
const COMPARED_REPLIES = 16;

/** The replies that a session returned, found again by tool-call ids or by what they say. */
export class SessionMessages {
  private readonly byPlace = new LruCache<string, RecordedReply>(REMEMBERED_REPLIES);
  private readonly byMessage = new LruCache<string, RecordedReply>(REMEMBERED_REPLIES);
  private readonly byCallId = new LruCache<string, RecordedReply>(REMEMBERED_REPLIES);
  private readonly byConversation = new LruCache<string, RecordedReply[]>(REMEMBERED_REPLIES);

  remember(reply: RecordedReply): void {
    const key = messageKey(reply.reply);
    const place = placeKey(reply.conversation, key);
    // Of replies that say the same the first stays, so that a prompt made from it is made again.
    if (this.byPlace.get(place) === undefined) this.byPlace.set(place, reply);
    if (this.byMessage.get(key) === undefined) this.byMessage.set(key, reply);
    for (const call of reply.reply.toolCalls ?? []) this.byCallId.set(call.id, reply);
    const answers = this.byConversation.get(reply.conversation);
    if (answers === undefined) this.byConversation.set(reply.conversation, [reply]);
    else if (answers.length < COMPARED_REPLIES) answers.push(reply);
  }

  /** The reply that said this at this very place of this very conversation. */
  findAt(conversation: string, message: ConversationMessage): RecordedReply | undefined {
    const issued = this.findByCallIds(message);
    const key = messageKey(message);
    if (issued?.conversation === conversation && messageKey(issued.reply) === key) return issued;
    return this.byPlace.get(placeKey(conversation, key));
  }

  /** A reply that said this, wherever. */
  findAnywhere(message: ConversationMessage): RecordedReply | undefined {
    const issued = this.findByCallIds(message);
    const key = messageKey(message);
    return issued !== undefined && messageKey(issued.reply) === key ? issued : this.byMessage.get(key);
  }

  /** The reply that `message` was made from, judging by its tool-call ids or by its place. */
  findOriginal(conversation: string, message: ConversationMessage): RecordedReply | undefined {
    return this.findByCallIds(message) ?? this.byConversation.get(conversation)?.[0];
  }

  private findByCallIds(message: ConversationMessage): RecordedReply | undefined {
    for (const call of message.toolCalls ?? []) {
      const reply = this.byCallId.get(call.id);
      if (reply !== undefined) return reply;
    }
    return undefined;
  }
}

function placeKey(conversation: string, message: string): string {
  return `${conversation} ${message}`;
}
