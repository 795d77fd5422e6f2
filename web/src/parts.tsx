/**
 * What every page is made of: heads, tables, forms, dialogs.
 *
 * Invariant: text from outside is always a text node or an attribute that cannot run; nothing here writes markup.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { sentenceOf } from './api.ts';
import { useLink } from './link.ts';
import type { Live } from './live.ts';
import { S } from './strings.ts';

/** 2026-01-02T03:04:05.678Z as people read it. */
const inUtc = (instant: string): string => `${instant.slice(0, 19).replace('T', ' ')} UTC`;

/** As people of this place read it. */
export const inLocalZone = (instant: string): string =>
  new Date(instant).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** In the local zone; UTC on hover. */
export const Time = ({ of }: { of: string | undefined }) =>
  of === undefined ? (
    <span>{S.never}</span>
  ) : (
    <time dateTime={of} title={inUtc(of)}>
      {inLocalZone(of)}
    </time>
  );

export const Notice = ({
  kind = '',
  children,
}: {
  kind?: 'bad' | 'good' | '';
  children: ComponentChildren;
}) => (
  <div class={`notice ${kind}`} role={kind === 'bad' ? 'alert' : 'status'}>
    {children}
  </div>
);

/** How new it is what a page shows; what is old is said by the banner of main.tsx, or here when only this page cannot be had. */
const LiveState = ({ live: { at, value, fault } }: { live: Live<unknown> }) => {
  const { staleSince } = useLink();
  if (staleSince !== undefined || value === undefined) return null;
  const text = at === undefined ? S.live : S.updated(new Date(at).toLocaleTimeString());
  return fault ? (
    <span class="live stale" role="status">
      {`${text}. ${fault}`}
    </span>
  ) : (
    <span class="live">{text}</span>
  );
};

/** The head of a page, and what it shows once the engine has answered. */
export const LivePage = <Value,>({
  title,
  live,
  actions,
  children,
}: {
  title: string;
  live: Live<Value>;
  actions?: ComponentChildren;
  children: (value: Value) => ComponentChildren;
}) => (
  <>
    <div class="head">
      <h1>{title}</h1>
      {actions}
      <LiveState live={live} />
    </div>
    {live.value !== undefined ? (
      children(live.value)
    ) : live.fault ? (
      <Notice kind="bad">{live.fault}</Notice>
    ) : (
      <p class="quiet">{S.loading}</p>
    )}
  </>
);

/** By which column a table is sorted, and what a click on the head of another one does. */
export interface Sorting {
  /** Columns that can be sorted by. */
  readonly offered: readonly string[];
  readonly by: string;
  readonly isDown: boolean;
  onSort(column: string): void;
}

const HeadCell = ({
  column,
  sorting,
  isWide,
}: {
  column: string;
  sorting: Sorting | undefined;
  isWide: boolean;
}) => {
  const look = isWide ? 'wide' : '';
  // A head without text is none.
  if (!column) return <td />;
  if (!sorting?.offered.includes(column))
    return (
      <th scope="col" class={look}>
        {column}
      </th>
    );
  const isSorted = sorting.by === column;
  const order = sorting.isDown ? 'descending' : 'ascending';
  return (
    <th scope="col" class={look} aria-sort={isSorted ? order : undefined}>
      <button type="button" class="sort" onClick={() => sorting.onSort(column)}>
        {column} <span aria-hidden="true">{isSorted ? (sorting.isDown ? '↓' : '↑') : ''}</span>
      </button>
    </th>
  );
};

/** A table that becomes a list of cards on a phone; one that can be sorted keeps its columns where they are. */
export const Table = ({
  label,
  columns,
  rows,
  empty,
  sorting,
  wide,
}: {
  label: string;
  columns: readonly string[];
  rows: readonly { key: string; cells: readonly ComponentChildren[] }[];
  empty: ComponentChildren;
  sorting?: Sorting;
  /** The column with the longest text. */
  wide?: string;
}) =>
  rows.length === 0 ? (
    <div class="card empty">{empty}</div>
  ) : (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: who uses the keyboard has to scroll a wide table too
    <section class={sorting ? 'table steady' : 'table'} tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <HeadCell key={column} column={column} sorting={sorting} isWide={column === wide} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ key, cells }) => (
            <tr key={key}>
              {cells.map((cell, at) => (
                <td key={columns[at]} data-label={columns[at]} class={columns[at] ? '' : 'acts'}>
                  {cell}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );

/** Names and what is said under them. */
export const Facts = ({ of }: { of: Readonly<Record<string, ComponentChildren>> }) => (
  <dl>
    {Object.entries(of).map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

/** A modal dialog; the browser keeps the focus inside and gives it back. */
export const Dialog = ({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) => {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-label={title} onClose={onClose}>
      <h2>{title}</h2>
      {children}
    </dialog>
  );
};

/** A form that does something at the engine, and says so when that was refused. */
export const ActionForm = ({
  submit,
  isDanger = false,
  onSubmit,
  onCancel,
  cancel = S.cancel,
  children,
}: {
  submit: string;
  isDanger?: boolean;
  onSubmit: (form: FormData) => Promise<void>;
  onCancel?: () => void;
  cancel?: string;
  children?: ComponentChildren;
}) => {
  const [fault, setFault] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const run = async (form: HTMLFormElement) => {
    setBusy(true);
    setFault(undefined);
    try {
      await onSubmit(new FormData(form));
    } catch (thrown) {
      setFault(sentenceOf(thrown));
    }
    setBusy(false);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void run(event.currentTarget);
      }}
    >
      {children}
      {fault && <Notice kind="bad">{fault}</Notice>}
      <div class="row end">
        {onCancel && (
          <button type="button" onClick={onCancel}>
            {cancel}
          </button>
        )}
        <button type="submit" class={isDanger ? 'danger' : 'main'} disabled={isBusy}>
          {submit}
        </button>
      </div>
    </form>
  );
};

/** Asks before something that cannot be undone, and names what follows. */
export const Confirm = ({
  title,
  consequence,
  submit,
  onConfirm,
  onClose,
}: {
  title: string;
  consequence: string;
  submit: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}) => (
  <Dialog title={title} onClose={onClose}>
    <p>{consequence}</p>
    <ActionForm
      submit={submit}
      isDanger
      onCancel={onClose}
      onSubmit={async () => {
        await onConfirm();
        onClose();
      }}
    />
  </Dialog>
);
