/**
 * Passwords of admins: hashed with argon2id, and what only a password opens.
 *
 * Invariant: the cost stands here alone; a hash made at another is made again at the next login. What is sealed with a password cannot be
 * read from the database without it: its key comes from argon2id as well, with a salt of its own.
 * Limits: passwordCharsMin, passwordCharsMax.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { argon2id, hash, needsRehash, verify } from 'argon2';
import { fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { Secret } from '../base/secret.ts';

/** What argon2id takes: KiB, rounds, lanes. */
export interface PasswordCost {
  readonly memoryCost: number;
  readonly timeCost: number;
  readonly parallelism: number;
}

/** RFC 9106 section 4, second choice, on one lane: 64 MiB and three rounds, a quarter of a second on a small machine. */
export const PASSWORD_COST: PasswordCost = { memoryCost: 65_536, timeCost: 3, parallelism: 1 };

const KEY_BYTES = 32;
const SALT_BYTES = 16;
const IV_BYTES = 12;

// Two keyboards may write the same letter in two ways.
const textOf = (password: Secret): string => password.reveal().normalize('NFKC');

/** Throws ADMIN_INVALID for a password that is too short or too long. */
export const checkPassword = (password: Secret): void => {
  const { length } = [...textOf(password)];
  if (length < LIMITS.passwordCharsMin || length > LIMITS.passwordCharsMax)
    throw fail('ADMIN_INVALID', {
      problem: `a password must have ${LIMITS.passwordCharsMin} to ${LIMITS.passwordCharsMax} characters`,
    });
};

/** The hash as a PHC string, which names its cost and salt. */
export const hashPassword = (password: Secret, cost: PasswordCost): Promise<string> =>
  hash(textOf(password), { type: argon2id, ...cost });

export const isPassword = async (stored: string, password: Secret): Promise<boolean> =>
  // Nobody has a longer one, and hashing it would cost the more.
  password.reveal().length <= 4 * LIMITS.passwordCharsMax && verify(stored, textOf(password));

/** Whether the hash was made at another cost than this. */
export const isOutdated = (stored: string, cost: PasswordCost): boolean => needsRehash(stored, { ...cost });

const keyFrom = (password: Secret, salt: Buffer, cost: PasswordCost): Promise<Buffer> =>
  hash(textOf(password), { type: argon2id, ...cost, salt, hashLength: KEY_BYTES, raw: true });

/** Encrypts a secret so that only the password opens it: `<cost>.<salt>.<iv>.<tag>.<ciphertext>`, AES-256-GCM. */
export const sealWith = async (password: Secret, secret: Secret, cost: PasswordCost): Promise<string> => {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(IV_BYTES)];
  const cipher = createCipheriv('aes-256-gcm', await keyFrom(password, salt, cost), iv);
  const ciphertext = Buffer.concat([cipher.update(secret.reveal(), 'utf8'), cipher.final()]);
  const parts = [salt, iv, cipher.getAuthTag(), ciphertext].map((part) => part.toString('base64url'));
  return [`${cost.memoryCost},${cost.timeCost},${cost.parallelism}`, ...parts].join('.');
};

/** Opens what {@link sealWith} made with the same password. */
export const openWith = async (password: Secret, sealed: string): Promise<Secret> => {
  const [costs = '', ...rest] = sealed.split('.');
  const [memoryCost = 0, timeCost = 0, parallelism = 0] = costs.split(',').map(Number);
  const [salt, iv, tag, ciphertext] = rest.map((part) => Buffer.from(part, 'base64url'));
  const key = await keyFrom(password, salt!, { memoryCost, timeCost, parallelism });
  const decipher = createDecipheriv('aes-256-gcm', key, iv!).setAuthTag(tag!);
  return new Secret(decipher.update(ciphertext!, undefined, 'utf8') + decipher.final('utf8'));
};
