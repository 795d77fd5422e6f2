/**
 * What a session does with each message of its agent.
 *
 * Invariant: heartbeats are acknowledged only when negotiated, never twice and never out of order (protocol.md 4.2); an agent's word
 * counts for its own tunnels and streams only; a message that has no meaning here ends the channel.
 */
import { type EngineError, engineErrorFrom, fail } from '../base/errors.ts';
import type { AgentId } from '../base/ids.ts';
import { inBackground } from '../base/time.ts';
import type { Rendezvous } from '../stream/rendezvous.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Message } from '../wire/message.ts';
import type { Channel } from './channel.ts';
import { clean } from './session-view.ts';
import type { TunnelRequest } from './tunnel-requests.ts';

export interface AgentMessagesNeeds {
  readonly registry: TunnelRegistry;
  readonly rendezvous: Rendezvous;
  readonly channel: Pick<Channel, 'send' | 'destroy'>;
  readonly answerTunnelRequest: (request: TunnelRequest) => Promise<void>;
  /** The agent closes its channel. */
  readonly onLeave: () => void;
}

export interface AgentMessagesOptions {
  readonly agentId: AgentId;
  /** Whether the agent negotiated heartbeats; clients drop a channel that sends unasked ones. */
  readonly isAcknowledging: boolean;
}

/** Throws MESSAGE_UNEXPECTED. */
export const createAgentMessages = (
  { registry, rendezvous, channel, answerTunnelRequest, onLeave }: AgentMessagesNeeds,
  { agentId, isAcknowledging }: AgentMessagesOptions,
) => {
  let acknowledged = 0n;

  const onHeartbeat = (sequence: bigint) => {
    // A repeated acknowledgement makes clients drop the channel; passing over a stale number costs nothing.
    if (!isAcknowledging || sequence <= acknowledged) return;
    acknowledged = sequence;
    channel.send({ kind: 'heartbeat', sequence: 0n, acknowledgement: sequence });
  };

  return (message: Message): void => {
    switch (message.kind) {
      case 'heartbeat':
        return onHeartbeat(message.sequence);
      case 'open-tunnel':
        return inBackground(answerTunnelRequest(message), (fault) => channel.destroy(engineErrorFrom(fault)));
      case 'close-tunnel':
        // An id that is not open was reported when it closed; a second report kills C++ agents (protocol.md 5.2).
        if (registry.byId(message.tunnelId)?.agentId === agentId) registry.close(message.tunnelId);
        return;
      case 'close-channel':
        return onLeave();
      case 'dial-result':
        if (message.error) rendezvous.refuse(message.streamId, agentId, refusalFrom(message.error.message));
        return;
      case 'datagram-channel-close':
      case 'unknown':
        return;
      default:
        throw fail('MESSAGE_UNEXPECTED', { kind: message.kind });
    }
  };
};

/** What an agent says about a stream that it cannot serve is for the log, not for the downstream. */
const refusalFrom = (text: string | undefined): EngineError =>
  fail('DIAL_BACK_REFUSED', {}, text === undefined ? undefined : new Error(clean(text)));
