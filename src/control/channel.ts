/**
 * Messages on one control connection.
 *
 * Flow: control/session.ts sends and is called with what arrives; it alone knows what messages mean.
 * Invariant: any byte of the agent is a sign of life; after `close` or `destroy` nothing is delivered and nothing is sent.
 * Limits: channelQueuedBytesMax unsent bytes, channelEndPatienceMs, and the silence that the session allows.
 */
import type { Duplex } from 'node:stream';
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import { Lifecycle } from '../base/lifecycle.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock } from '../base/time.ts';
import { createSilenceWatch } from '../stream/silence.ts';
import { createFrameReader } from '../wire/frame-reader.ts';
import { encodeFrame } from '../wire/frame-writer.ts';
import type { Message } from '../wire/message.ts';
import { sayFarewell } from './farewell.ts';

export interface ChannelOptions {
  /** Silence after which the agent is taken for gone. */
  readonly silenceMsMax: number;
  /** What it throws ends the channel. */
  readonly onMessage: (message: Message) => void;
  /** Called once at the end; the cause is absent when the end was graceful. */
  readonly onClosed: (cause: EngineError | undefined) => void;
}

export type Channel = ReturnType<typeof createChannel>;

/**
 * Takes over a paused socket.
 */
export const createChannel = (
  socket: Duplex,
  { clock }: { clock: Clock },
  { silenceMsMax, onMessage, onClosed }: ChannelOptions,
) => {
  const life = new Lifecycle();
  const reader = createFrameReader();

  const destroy = (cause?: EngineError): void => {
    if (!life.finish(cause)) return;
    watch.cancel();
    socket.destroy();
    onClosed(cause);
  };
  const lose = (fault?: unknown) => destroy(life.isOpen ? fail('AGENT_GONE', {}, fault) : undefined);
  const watch = createSilenceWatch(clock, silenceMsMax, () =>
    destroy(fail('HEARTBEAT_TIMEOUT', { silenceMs: silenceMsMax })),
  );

  const receive = (chunk: Buffer) => {
    watch.touch();
    if (!life.isOpen) return;
    try {
      reader.push(chunk);
      for (let message = reader.next(); message; message = reader.next()) {
        onMessage(message);
        if (!life.isOpen) return;
      }
    } catch (thrown) {
      destroy(engineErrorFrom(thrown));
    }
  };
  // An agent that was told of the end may end first: destroying the socket then would take its answer away.
  socket.on('end', () => life.isOpen && lose());
  socket
    .on('data', receive)
    .on('error', lose)
    .on('close', () => lose());
  socket.resume();

  return {
    /** Throws FRAME_TOO_LARGE; an agent that does not read ends the channel with CHANNEL_OVERFLOW. */
    send(message: Message): void {
      if (!life.isOpen) return;
      socket.write(encodeFrame(message));
      if (socket.writableLength > LIMITS.channelQueuedBytesMax) destroy(fail('CHANNEL_OVERFLOW'));
    },
    /** Sends a last message and ends when the agent has read it. */
    close(last: Message): void {
      if (!life.beginClosing()) return;
      watch.cancel();
      sayFarewell(socket, clock, { last, patienceMs: LIMITS.channelEndPatienceMs });
    },
    destroy,
    /** Milliseconds since the last byte of the agent. */
    get silentMs() {
      return watch.silentMs;
    },
    /** False from the first word of its end on. */
    get isOpen() {
      return life.isOpen;
    },
  };
};
