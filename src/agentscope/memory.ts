import type { ChatMessage } from "../agent/task.js";

/** What a ReAct agent remembers of its conversation: everything but the system prompt. */
export interface Memory {
  add(...messages: readonly ChatMessage[]): void;
  /** Oldest first. A memory that leaves messages out or rewrites them starts the conversation's tokens anew. */
  messages(): readonly ChatMessage[];
  clear(): void;
}

/** Remembers every message as it was. */
export class InMemoryMemory implements Memory {
  private readonly remembered: ChatMessage[] = [];

  add(...messages: readonly ChatMessage[]): void {
    this.remembered.push(...messages);
  }

  messages(): readonly ChatMessage[] {
    return [...this.remembered];
  }

  clear(): void {
    this.remembered.length = 0;
  }
}
