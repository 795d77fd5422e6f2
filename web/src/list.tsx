/**
 * Lists: which entries are shown.
 *
 * Two ways: `useListPath` has the engine choose, for what is asked for; `useBrowser` chooses here, for what the engine has told already.
 * Limits: PAGE_ROWS rows are in the document, however long a list is, so that thousands of entries cost no more than a hundred.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Page } from './api.ts';
import type { Sorting } from './parts.tsx';
import { filterInAddress } from './place.ts';
import { S } from './strings.ts';

/** Jumps to the filter at `/`, as lists do elsewhere. */
const FilterBox = ({ value, onChange }: { value: string; onChange: (value: string) => void }) => {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const jump = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLElement && event.target.closest('input, textarea, dialog');
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
      event.preventDefault();
      box.current?.focus();
    };
    addEventListener('keydown', jump);
    return () => removeEventListener('keydown', jump);
  }, []);
  return (
    <input
      ref={box}
      class="filter"
      type="search"
      aria-label={S.filter}
      aria-keyshortcuts="/"
      title={S.filterHint}
      placeholder={S.filter}
      value={value}
      maxLength={200}
      onInput={({ currentTarget }) => onChange(currentTarget.value)}
    />
  );
};

/** The path of a list with its filter and as many entries as were asked for. */
export const useListPath = (path: string) => {
  const [filter, setFilter] = useState('');
  const [limit, setLimit] = useState(100);
  const query = new URLSearchParams({ limit: String(limit), ...(filter && { q: filter }) });
  return {
    path: `${path}?${query}`,
    filter,
    box: <FilterBox value={filter} onChange={setFilter} />,
    more: (page: Page<unknown>) =>
      page.next !== undefined && limit < 500 ? (
        <p class="row end">
          <button type="button" onClick={() => setLimit(500)}>
            {S.more}
          </button>
        </p>
      ) : null,
  };
};

const PAGE_ROWS = 100;

const holdsAll = (text: string, words: readonly string[]): boolean =>
  words.every((word) => text.includes(word));

/** What somebody has chosen to see of a list. */
interface View {
  readonly filter: string;
  readonly by: string;
  readonly isDown: boolean;
  readonly start: number;
}

/** Who comes back to a list finds it as it was. In memory alone. */
const views = new Map<string, View>();

interface Browsing<Item> {
  /** The list, among all. */
  readonly name: string;
  /** What a filter looks for its words in. */
  textOf(item: Item): string;
  /** What a column is sorted by, by its name; the first is sorted by at first. */
  readonly sorts: Readonly<Record<string, (item: Item) => string | number>>;
}

/** Numbers in names count as numbers: web-2 comes before web-10. */
const collator = new Intl.Collator(undefined, { numeric: true });
const compare = (a: string | number, b: string | number): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b));

/** Filter, order and page of a list that is there as a whole. Entries hold every word of the filter, in any order. */
export const useBrowser = <Item extends { readonly id: string }>({ name, textOf, sorts }: Browsing<Item>) => {
  const offered = Object.keys(sorts);
  const [{ filter, by, isDown, start: wantedStart }, setView] = useState<View>(() => {
    const before = views.get(name) ?? { filter: '', by: offered[0] ?? '', isDown: false, start: 0 };
    const wanted = filterInAddress();
    return wanted === undefined ? before : { ...before, filter: wanted, start: 0 };
  });
  const change = (part: Partial<View>) =>
    setView((before) => {
      const view = { ...before, start: 0, ...part };
      views.set(name, view);
      return view;
    });
  const sorting: Sorting = {
    offered,
    by,
    isDown,
    onSort: (column) => change({ by: column, isDown: by === column && !isDown }),
  };
  const show = (text: string) => change({ filter: text });
  const latest = useRef<{ of: readonly unknown[]; found: readonly Item[] }>(undefined);
  /** Sorted once for each list and choice, not each time that it is shown. */
  const foundIn = (all: ReadonlyMap<string, Item>): readonly Item[] => {
    const of = [all, filter, by, isDown];
    if (latest.current?.of.every((each, at) => each === of[at])) return latest.current.found;
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const keyOf = sorts[by] ?? (({ id }) => id);
    const found = [...all.values()]
      .filter((item) => words.length === 0 || holdsAll(textOf(item).toLowerCase(), words))
      .map((item) => ({ item, key: keyOf(item) }))
      .sort((a, b) => (isDown ? -1 : 1) * (compare(a.key, b.key) || (a.item.id < b.item.id ? -1 : 1)))
      .map(({ item }) => item);
    latest.current = { of, found };
    return found;
  };

  return {
    filter,
    show,
    sorting,
    box: <FilterBox value={filter} onChange={show} />,
    pageOf(all: ReadonlyMap<string, Item>) {
      const found = foundIn(all);
      // What a page begins with may have gone meanwhile.
      const lastStart = Math.max(0, Math.ceil(found.length / PAGE_ROWS) - 1) * PAGE_ROWS;
      const start = Math.min(wantedStart, lastStart);
      const items = found.slice(start, start + PAGE_ROWS);
      const turn = (to: number, text: string) => (
        <button
          type="button"
          class="small"
          disabled={to < 0 || to > lastStart}
          onClick={() => change({ start: to })}
        >
          {text}
        </button>
      );
      return {
        items,
        pager: (
          <div class="pager">
            <span role="status">{S.shown(start + 1, start + items.length, found.length, all.size)}</span>
            {found.length > PAGE_ROWS && (
              <>
                {turn(start - PAGE_ROWS, S.previous)}
                {turn(start + PAGE_ROWS, S.next)}
              </>
            )}
          </div>
        ),
      };
    },
  };
};
