/**
 * What differs between two policies of the operator, in words for the audit log and for people.
 *
 * Limits: auditTextCharsMax for each text: a long list makes several.
 */
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import { type EngineRules, objectionTo } from './policy/engine-rules.ts';
import type { AuditEvent } from './store/audit.ts';
import type { AuditActors } from './store/audit-actor.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';

/** The `policy` section, as the configuration has it. */
type Settings = Readonly<Record<string, unknown>>;

export interface PolicyChange {
  /** Like `policy.trusted_ips`. */
  readonly key: string;
  /** Like `false -> true`, or `+192.0.2.0/24 -10.0.0.0/8`. */
  readonly change: string;
}

export const policyChanges = (before: Settings, after: Settings): PolicyChange[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) =>
    changesOf(before[name], after[name]).map((change) => ({ key: `policy.${name}`, change })),
  );

const changesOf = (before: unknown, after: unknown): string[] => {
  if (Array.isArray(before) && Array.isArray(after)) {
    const added = after.filter((item) => !before.includes(item)).map((item) => `+${item}`);
    const removed = before.filter((item) => !after.includes(item)).map((item) => `-${item}`);
    return linesOf([...added, ...removed]);
  }
  return before === after ? [] : [`${before ?? 'unset'} -> ${after ?? 'unset'}`];
};

/** Words in lines that the audit log takes whole. */
const linesOf = (words: readonly string[]): string[] => {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < LIMITS.auditTextCharsMax)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
};

/** Tells the audit log of each change, in the name of who is at work. */
export const auditPolicyChanges = (
  { actors, audit }: { actors: AuditActors; audit: { record(event: AuditEvent): void } },
  action: 'policy.save' | 'policy.change',
  changes: readonly PolicyChange[],
): void => {
  for (const { key, change } of changes)
    audit.record(actors.complete({ action, object: key, name: change, result: 'ok' }));
};

/** Names the tunnels that are open and would not be opened under other rules: they let nobody in, and their agents are not told. */
export const warnOfForbidden = (
  { log, registry }: { log: Logger; registry: Pick<TunnelRegistry, 'list'> },
  rules: EngineRules,
): void => {
  for (const { id: tunnelId, properties } of registry.list()) {
    const problem = objectionTo(properties, rules);
    if (problem === undefined) continue;
    const { name, hostname } = properties;
    log.warn({ tunnelId, name, hostname, problem }, 'an open tunnel lets nobody in under the policy');
  }
};
