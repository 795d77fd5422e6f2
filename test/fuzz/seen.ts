/** What a parser makes of the bytes of a connection: the common ground of our parser and Node's. */

/** One message, with bodies and header values as one character a byte. */
export interface SeenMessage {
  /** Method and target of a request, status and reason of a response, then the minor version. */
  readonly start: readonly (string | number)[];
  readonly headers: readonly string[];
  body: string;
  trailers: readonly string[];
  /** Whether the end of the message was seen. */
  isWhole: boolean;
}

/** Everything that came of a connection. */
export interface Seen {
  readonly messages: SeenMessage[];
  /** Why the parser gave up, if it did. */
  fault: string | undefined;
  /** Whether the last message is the last one that may be read from this connection. */
  isOver: boolean;
}
