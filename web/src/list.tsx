/** Lists: which entries are asked for. */
import { useState } from 'preact/hooks';
import type { Page } from './api.ts';
import { S } from './strings.ts';

/** The path of a list with its filter and as many entries as were asked for. */
export const useListPath = (path: string) => {
  const [filter, setFilter] = useState('');
  const [limit, setLimit] = useState(100);
  const query = new URLSearchParams({ limit: String(limit), ...(filter && { q: filter }) });
  return {
    path: `${path}?${query}`,
    filter,
    box: (
      <input
        class="filter"
        type="search"
        aria-label={S.filter}
        placeholder={S.filter}
        value={filter}
        maxLength={200}
        onInput={({ currentTarget }) => setFilter(currentTarget.value)}
      />
    ),
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
