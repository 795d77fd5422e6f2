/**
 * A YAML text as plain values, with the line of each.
 *
 * Invariant: a fault says where and what kind, in our words: those of the parser may quote the text, and that may hold a secret.
 * Limits: no aliases, no tags of one's own, one document, so that the values are no larger than the text.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  stringify,
} from 'yaml';
import { isTree } from './tree.ts';

/** What a text says. */
export interface YamlSource {
  /** Only plain objects, arrays and scalars; an empty object for an empty text. */
  readonly tree: Readonly<Record<string, unknown>>;
  /** Line, from 1, of the setting with a given key (`a.b.0`), or undefined when the text does not set it. */
  lineOf(key: string): number | undefined;
  /** One sentence a fault; where there is one, the tree means nothing. */
  readonly faults: readonly string[];
}

// The parser's codes that an operator meets; the rest is one sentence.
const SENTENCES: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'a key that was set before is set again',
  TAB_AS_INDENT: 'a tab indents this line; YAML allows spaces only',
  BAD_INDENT: 'the indentation fits no line above',
  MISSING_CHAR: 'a quote, bracket or colon is missing',
  MULTIPLE_DOCS: 'a second document begins here; there must be one',
  TAG_RESOLVE_FAILED: 'tags (!name) are not supported',
};
const OTHERWISE = 'this is not valid YAML; texts that begin with a bracket or a sign need quotes';

/** Settings as YAML that {@link readYaml} reads; a Secret shows as its mask. */
export const yamlFrom = (settings: Readonly<Record<string, unknown>>): string =>
  stringify(settings, { lineWidth: 0 });

/** A value on one line. */
export const inlineYamlFrom = (value: unknown): string =>
  stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd();

/** Reads a text; never throws. */
export const readYaml = (text: string): YamlSource => {
  const counter = new LineCounter();
  const lines = new Map<string, number>();
  // A set: one slip makes the parser say the same of a line again and again.
  const faults = new Set<string>();
  const lineAt = (offset: number) => Math.max(1, counter.linePos(offset).line);
  const refuse = (offset: number, sentence: string) => {
    faults.add(`line ${lineAt(offset)}: ${sentence}`);
  };

  const valueFrom = (node: ParsedNode | null, key: string): unknown => {
    if (node === null) return null;
    if (isScalar(node)) return node.value;
    const below = (name: string | number) => (key === '' ? `${name}` : `${key}.${name}`);
    if (isSeq(node))
      return node.items.map((item, index) => {
        lines.set(below(index), lineAt(item.range[0]));
        return valueFrom(item, below(index));
      });
    if (isMap(node))
      // fromEntries defines properties, so a key such as __proto__ is one like any other.
      return Object.fromEntries(
        node.items.flatMap((pair) => {
          if (!isScalar(pair.key)) {
            refuse(pair.key.range[0], 'a key must be a plain word');
            return [];
          }
          const name = String(pair.key.value);
          lines.set(below(name), lineAt(pair.key.range[0]));
          return [[name, valueFrom(pair.value, below(name))]];
        }),
      );
    refuse(node.range[0], isAlias(node) ? 'aliases (*name) are not supported' : OTHERWISE);
    return null;
  };

  let tree: unknown = {};
  if (isDeep(text)) refuse(0, 'the text is nested too deeply');
  else {
    // The schema is named so that a %YAML directive cannot bring the one of YAML 1.1, where `no` is a boolean.
    const document = parseDocument(text, {
      lineCounter: counter,
      prettyErrors: false,
      schema: 'core',
      resolveKnownTags: false,
    });
    for (const { code, pos } of [...document.errors, ...document.warnings])
      refuse(pos[0], SENTENCES[code] ?? OTHERWISE);
    if (faults.size === 0) tree = valueFrom(document.contents, '') ?? {};
  }
  if (!isTree(tree)) refuse(0, 'the text must consist of sections');
  return { tree: isTree(tree) ? tree : {}, lineOf: (key) => lines.get(key), faults: [...faults] };
};

// The parser recurses, and V8 ends the whole process if it must compile an expression with its stack exhausted. Both bounds are
// far beyond a configuration of a few levels: what begins a hundred columns in, and brackets in all.
const isDeep = (text: string): boolean =>
  /^[ ?:-]{100}/m.test(text) || (text.match(/[[{]/g)?.length ?? 0) > 200;
