/**
 * Errors as they cross the wire between the built-in agent and the engine.
 */
import { type EngineError, fail } from '../base/errors.ts';
import type { WireError } from '../wire/message.ts';

// Unavailable, capacity, conflict, internal: what the official agents try again after (protocol.md 12.3).
const RETRYABLE_CODES = new Set([6_000, 7_000, 8_000, 9_000]);

/** The engine's refusal in its own sentence: ENGINE_BUSY where trying again may help, otherwise ENGINE_REFUSED. */
export const errorFromWire = ({ code, message }: WireError): EngineError =>
  fail(RETRYABLE_CODES.has(code) ? 'ENGINE_BUSY' : 'ENGINE_REFUSED', {
    sentence: message || `error ${code} without a sentence.`,
    wireCode: code,
  });

/** What the agent tells the engine of its own failure. */
export const wireErrorFrom = (error: EngineError): WireError => ({
  code: error.row.wireCode,
  message: error.message,
});
