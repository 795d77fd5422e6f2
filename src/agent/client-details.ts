/** What the built-in agent says of itself in its handshake messages (protocol.md 3.1). */
import type { Secret } from '../base/secret.ts';
import { PROTOCOL_VERSION } from '../wire/handshake.ts';
import type { ClientDetails } from '../wire/message.ts';

/**
 * @param token the user's token, or on a dial-back the secret of the dial request
 * @param version of the program that the agent is part of
 */
export const clientDetails = (token: Secret | undefined, version: string | undefined): ClientDetails => ({
  agent: 'rstream-engine-ce',
  channel: 'ce',
  os: process.platform,
  arch: process.arch,
  protocolVersion: PROTOCOL_VERSION,
  ...(version !== undefined && { version }),
  ...(token && { token: token.reveal() }),
});
