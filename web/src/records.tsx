/**
 * Records: what happened to requests and streams, searched by filters that stand in the address.
 *
 * Invariant: what a downstream has sent is shown as text. A search is made when somebody asks for one, not again and again: it may look at
 * a million rows.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, Refusal, sentenceOf } from './api.ts';
import { bytesText, durationText } from './numbers.ts';
import { Notice, Table, Time } from './parts.tsx';
import { type FoundRecord, RecordDetails } from './record-details.tsx';
import { S } from './strings.ts';

interface Found {
  readonly items: readonly FoundRecord[];
  readonly next?: string;
}

const FILTERS = ['host', 'status', 'reason', 'decision', 'address', 'tunnel', 'q', 'from', 'until'] as const;

const HASH = '#/records';

/** Only filters that there are: an address may have been written by anybody. */
const filtersFromAddress = (): URLSearchParams => {
  const given = new URLSearchParams(location.hash.split('?')[1] ?? '');
  return new URLSearchParams(
    FILTERS.flatMap((name) => {
      const value = given.get(name);
      return value ? [[name, value]] : [];
    }),
  );
};

/** What `datetime-local` shows for an instant, in the local zone, and back. */
const localFrom = (iso: string | null): string => {
  const ms = Date.parse(iso ?? '');
  if (Number.isNaN(ms)) return '';
  return new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};
const instantFrom = (local: string): string => (local ? new Date(local).toISOString() : '');

const filtersFromForm = (form: HTMLFormElement): URLSearchParams => {
  const data = new FormData(form);
  return new URLSearchParams(
    FILTERS.flatMap((name) => {
      const text = String(data.get(name) ?? '').trim();
      const value = name === 'from' || name === 'until' ? instantFrom(text) : text;
      return value ? [[name, value]] : [];
    }),
  );
};

/** What was found so far; a newer search makes an older one void. */
const useSearch = (filters: URLSearchParams) => {
  const [state, setState] = useState<{
    items: readonly FoundRecord[];
    next?: string;
    fault?: string;
    isOff?: boolean;
  }>();
  const [isBusy, setBusy] = useState(false);
  const turn = useRef(0);
  const run = async (before: readonly FoundRecord[], from?: string) => {
    turn.current += 1;
    const own = turn.current;
    setBusy(true);
    const query = new URLSearchParams(filters);
    if (from) query.set('before', from);
    const found = await ask<Found>('GET', `/records?${query}`).then(
      ({ items, next }) => ({ items: [...before, ...items], ...(next && { next }) }),
      (thrown: unknown) => ({
        items: before,
        fault: sentenceOf(thrown),
        isOff: thrown instanceof Refusal && thrown.code === 'RECORDS_OFF',
      }),
    );
    if (own !== turn.current) return;
    setState(found);
    setBusy(false);
  };
  const key = filters.toString();
  useEffect(() => void run([]), [key]);
  return {
    ...state,
    isBusy,
    again: () => void run([]),
    more: () => void run(state?.items ?? [], state?.next),
  };
};

export const RecordsPage = () => {
  const [filters, setFilters] = useState(filtersFromAddress);
  const [shown, setShown] = useState<FoundRecord>();
  const { items, next, fault, isOff, isBusy, again, more } = useSearch(filters);
  useEffect(() => {
    const follow = () => setFilters(filtersFromAddress());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const search = (wanted: URLSearchParams) => {
    const hash = wanted.size > 0 ? `${HASH}?${wanted}` : HASH;
    if (wanted.toString() === filters.toString()) return again();
    // Not by the address bar: that would take the focus away from the form.
    history.replaceState(null, '', hash);
    setFilters(wanted);
  };
  return (
    <>
      <div class="head">
        <h1>{S.nav.records}</h1>
      </div>
      {isOff && <Notice>{S.records.off}</Notice>}
      {!isOff && <FilterForm key={filters.toString()} filters={filters} isBusy={isBusy} onSearch={search} />}
      {fault && !isOff && <Notice kind="bad">{fault}</Notice>}
      {items === undefined && <p class="quiet">{S.loading}</p>}
      {items && !(fault && items.length === 0) && (
        <Table
          label={S.records.caption}
          columns={S.records.columns}
          rows={items.map((record) => rowFrom(record, () => setShown(record)))}
          empty={filters.size > 0 ? S.records.none : S.records.empty}
        />
      )}
      {next && (
        <p class="row end">
          {items && items.length % PAGE !== 0 && <span class="quiet">{S.records.searchedBack}</span>}
          <button type="button" disabled={isBusy} onClick={more}>
            {items && items.length % PAGE !== 0 ? S.records.goOn : S.more}
          </button>
        </p>
      )}
      {shown && <RecordDetails record={shown} onClose={() => setShown(undefined)} />}
    </>
  );
};

// What the engine gives at once.
const PAGE = 100;

const FilterForm = ({
  filters,
  isBusy,
  onSearch,
}: {
  filters: URLSearchParams;
  isBusy: boolean;
  onSearch: (wanted: URLSearchParams) => void;
}) => {
  const text = (name: 'host' | 'status' | 'reason' | 'address' | 'tunnel' | 'q', hint?: string) => (
    <label>
      {S.records[name]}
      <input
        name={name}
        defaultValue={filters.get(name) ?? ''}
        placeholder={hint}
        maxLength={200}
        spellcheck={false}
      />
    </label>
  );
  const time = (name: 'from' | 'until') => (
    <label>
      {S.records[name]}
      <input name={name} type="datetime-local" defaultValue={localFrom(filters.get(name))} />
    </label>
  );
  const exportPath = (format: string) =>
    `/api/admin/records/export?${new URLSearchParams([...filters, ['format', format]])}`;
  return (
    <form
      class="card"
      onSubmit={(event) => {
        event.preventDefault();
        onSearch(filtersFromForm(event.currentTarget));
      }}
    >
      <div class="filters">
        {text('host')}
        {text('tunnel', S.records.tunnelHint)}
        {text('status', S.records.statusHint)}
        {text('reason', S.records.reasonHint)}
        {text('address')}
        <label>
          {S.records.decision}
          <select name="decision">
            {Object.entries(S.records.decisions).map(([value, label]) => (
              <option key={value} value={value} selected={value === (filters.get('decision') ?? '')}>
                {label}
              </option>
            ))}
          </select>
        </label>
        {text('q', S.records.qHint)}
        {time('from')}
        {time('until')}
      </div>
      <div class="row">
        <button type="submit" class="main" disabled={isBusy}>
          {S.records.search}
        </button>
        {filters.size > 0 && (
          <button type="button" onClick={() => onSearch(new URLSearchParams())}>
            {S.records.clear}
          </button>
        )}
        <span class="quiet" title={S.records.exportHint}>
          {S.records.exportAs}{' '}
          <a href={exportPath('csv')} download>
            CSV
          </a>{' '}
          <a href={exportPath('jsonl')} download>
            JSON
          </a>
        </span>
      </div>
    </form>
  );
};

const toneOf = ({ reason, status }: FoundRecord): string => {
  if (reason === 'complete') return status >= 400 ? 'warn' : 'good';
  return reason === 'reset' || reason === 'REQUEST_ABORTED' ? 'warn' : 'bad';
};

const rowFrom = (record: FoundRecord, onShow: () => void) => ({
  key: String(record.id),
  cells: [
    <Time key="at" of={new Date(Date.parse(record.at) + record.duration_ms).toISOString()} />,
    <>
      {record.method ?? S.records.kinds[record.kind]} <span class="mono">{record.host}</span>
      <span class="mono">{record.path}</span> <span class="quiet">{record.tunnel_name}</span>
    </>,
    <>
      <span class={`chip ${toneOf(record)}`}>{record.status || record.reason}</span>
      {record.status !== 0 && record.reason !== 'complete' && <code>{record.reason}</code>}
    </>,
    <>
      <span class="mono nowrap">{record.address}</span> <span class="quiet">{record.country}</span>
    </>,
    <span key="took" class="nowrap">
      {durationText(record.duration_ms)}
    </span>,
    <span key="bytes" class="nowrap">
      {bytesText(record.bytes_up + record.bytes_down)}
    </span>,
    <button key="show" type="button" class="small" onClick={onShow}>
      {S.records.details}
    </button>,
  ],
});
