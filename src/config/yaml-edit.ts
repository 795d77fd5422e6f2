/**
 * Changes settings in a YAML text and leaves the rest to whoever wrote it: comments, order, other sections.
 *
 * Invariant: an entry of a list that stays keeps its comment. Indentation may become uniform.
 */
import { type Document, isMap, isScalar, isSeq, parseDocument } from 'yaml';

/**
 * The text with other settings of one section; an undefined value removes a setting.
 * @param text which readYaml finds no fault in
 */
export const withSettings = (
  text: string,
  section: string,
  settings: Readonly<Record<string, unknown>>,
): string => {
  const document: Document = parseDocument(text, { schema: 'core', resolveKnownTags: false });
  const present = document.get(section);
  // An empty one may be written as `{}`, and would grow on that line.
  if (!isMap(present) || present.items.length === 0) document.set(section, document.createNode({}));
  for (const [name, value] of Object.entries(settings)) {
    const path = [section, name];
    const list = document.getIn(path, true);
    if (value === undefined) document.deleteIn(path);
    else if (isSeq(list) && Array.isArray(value)) {
      const keeps = (item: unknown) => isScalar(item) && value.includes(item.value);
      list.items = list.items.filter(keeps);
      const kept = list.items.map((item) => isScalar(item) && item.value);
      for (const item of value) if (!kept.includes(item)) list.add(item);
    } else document.setIn(path, value);
  }
  return document.toString({ lineWidth: 0 });
};
