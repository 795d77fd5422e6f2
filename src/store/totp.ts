/**
 * One-time codes of authenticator apps (RFC 6238): six digits, thirty seconds.
 *
 * Invariant: pure; the caller remembers the step that `stepOf` found, so that no code counts twice.
 */
import { TOTP, Secret as TotpSecret } from 'otpauth';
import { Secret } from '../base/secret.ts';

const PERIOD_SECONDS = 30;
// RFC 4226 section 4: at least 128 bits, 160 recommended.
const SECRET_BYTES = 20;
// One step to each side, for clocks that differ and people who type slowly.
const WINDOW_STEPS = 1;

/** A new shared secret in base32, as authenticator apps take it. */
export const newTotpSecret = (): Secret => new Secret(new TotpSecret({ size: SECRET_BYTES }).base32);

/** Whether a text can be a shared secret. */
export const isTotpSecret = (text: string): boolean => /^[A-Z2-7]{32}$/.test(text);

/** What the QR code of a secret holds. */
export const totpAddress = (secret: Secret, issuer: string, label: string): Secret =>
  new Secret(new TOTP({ secret: secret.reveal(), issuer, label, period: PERIOD_SECONDS }).toString());

/** The time step that a code is of; undefined when it is of none around now. */
export const stepOf = (secret: Secret, code: string, nowMs: number): number | undefined => {
  if (!/^\d{6}$/.test(code)) return undefined;
  const totp = new TOTP({ secret: secret.reveal(), period: PERIOD_SECONDS });
  const delta = totp.validate({ token: code, timestamp: nowMs, window: WINDOW_STEPS });
  return delta === null ? undefined : Math.floor(nowMs / 1_000 / PERIOD_SECONDS) + delta;
};
