/** What agents say to each other. */
export class Msg {
  constructor(
    /** Of the speaker. */
    readonly name: string,
    readonly content: string,
    readonly role: "user" | "assistant" | "system",
    readonly metadata: Readonly<Record<string, unknown>> = {},
  ) {}
}
