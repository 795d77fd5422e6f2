/**
 * Tells whoever keeps the audit log what was done to credentials, and what was refused.
 *
 * Flow: credential-desk.ts wraps each of its deeds in `told` or `toldLater`.
 * Invariant: one event a deed, whether it succeeds or fails; none holds a secret, also when a secret was given for a name.
 */
import { EngineError, type ErrorCode } from '../base/errors.ts';
import type { CredentialRecord } from './credential-table.ts';

/** Something that was done to a credential, or tried. */
export interface CredentialEvent {
  /** `<kind>.<verb>`, like `pat.create`, `auth.mint` or `key.rotate`. */
  readonly action: string;
  /** Id, or what was asked for where there is none. */
  readonly object: string;
  readonly name?: string;
  /** `ok`, or the code of the refusal. */
  readonly result: 'ok' | ErrorCode;
}

/** Who pastes the token itself must not find it in an answer or a log. */
export const shortened = (text: string): string => (text.length > 40 ? `${text.slice(0, 40)}...` : text);

/** @param onEvent must not throw */
export const createReporter = (onEvent: ((event: CredentialEvent) => void) | undefined) => {
  const tellRefused = (action: string, object: string, thrown: unknown): void => {
    const result = thrown instanceof EngineError ? thrown.code : 'INTERNAL';
    onEvent?.({ action, object: shortened(object), result });
  };

  /** Does something and tells of it, whether it succeeds or fails. A record among the result is what it was done to. */
  const told = <Result>(action: string, object: string, work: () => Result): Result => {
    try {
      const result = work();
      const { record } = (result ?? {}) as { record?: CredentialRecord };
      onEvent?.({ action, object: record?.id ?? object, ...(record && { name: record.name }), result: 'ok' });
      return result;
    } catch (thrown) {
      tellRefused(action, object, thrown);
      throw thrown;
    }
  };

  /** As `told`, for work with something to wait for between its check and its end. */
  const toldLater = async <Checked, Result>(
    action: string,
    object: string,
    check: () => Checked,
    work: (checked: Checked) => Promise<() => Result>,
  ): Promise<Result> => {
    let finish: () => Result;
    try {
      finish = await work(check());
    } catch (thrown) {
      tellRefused(action, object, thrown);
      throw thrown;
    }
    return told(action, object, finish);
  };

  return { told, toldLater };
};
