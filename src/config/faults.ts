/**
 * What is wrong with settings, one sentence each, in words for an operator.
 *
 * Invariant: no sentence repeats a value, and a key only while it looks like one: in `{secret:text}` YAML takes the whole for a key.
 */
import type { z } from 'zod';
import { CONFIG_FIELDS, CONFIG_SECTIONS, fieldAt } from './fields.ts';
import { nearestOf } from './nearest.ts';
import { type Tree, valueAt } from './tree.ts';

type Issue = z.core.$ZodIssue;

/**
 * @param tree what was validated
 * @param originOf where a key was set: a line or an environment variable
 */
export const faultsFrom = (
  issues: readonly Issue[],
  tree: Tree,
  originOf: (key: string) => string | undefined,
): string[] => {
  // One fault a key: an empty text, say, is also too short.
  const faults = new Map<string, string>();
  const add = (key: string, shown: string, sentence: string) => {
    const origin = originOf(key);
    if (!faults.has(key)) faults.set(key, `${shown}${origin ? ` (${origin})` : ''}: ${sentence}`);
  };
  for (const issue of issues) {
    const path = issue.path.map(String);
    const key = path.join('.');
    if (issue.code !== 'unrecognized_keys') add(key, key, sentenceFor(issue, path, tree));
    else
      for (const name of issue.keys) {
        const unknown = [...path, name].join('.');
        add(unknown, isShowable(name) ? unknown : [...path, '…'].join('.'), unknownKey(unknown));
      }
  }
  return [...faults.values()];
};

const isShowable = (name: string): boolean => /^[\w.-]{1,64}$/.test(name);

const sentenceFor = (issue: Issue, path: readonly string[], tree: Tree): string => {
  const key = path.join('.');
  const value = valueAt(tree, path);
  const field = fieldAt(key);
  if (issue.code === 'custom') return issue.message;
  if (!field) return 'must be a section with settings below it';
  if (key !== field.key)
    return field.kind === 'sections' ? `${field.key} must be ${field.expectation}` : 'must be a text';
  if (value === null) return 'has no value: give it one or remove the line';
  if (value === undefined) return `is required: ${field.doc}`;
  return `must be ${field.expectation}`;
};

const KEYS = [...CONFIG_SECTIONS, ...CONFIG_FIELDS].map(({ key }) => key).filter((key) => key !== '');

const unknownKey = (key: string): string => {
  // Two slips, or a third of the last name: enough to find tls.min_version behind http.min_version.
  const name = key.slice(key.lastIndexOf('.') + 1);
  const nearest = nearestOf(key, KEYS, Math.max(2, Math.floor(name.length / 3)));
  return `there is no such setting${nearest ? `; did you mean ${nearest}?` : ''}`;
};
