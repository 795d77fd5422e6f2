/**
 * What every page is made of: heads, tables, forms, dialogs.
 *
 * Invariant: text from outside is always a text node or an attribute that cannot run; nothing here writes markup.
 */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { sentenceOf } from './api.ts';
import type { Live } from './live.ts';
import { S } from './strings.ts';

/** In the local zone; UTC on hover. */
export const Time = ({ of }: { of: string | undefined }) =>
  of === undefined ? (
    <span>{S.never}</span>
  ) : (
    <time dateTime={of} title={of}>
      {new Date(of).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })}
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

const LiveState = ({ live }: { live: Live<unknown> }) => {
  if (live.at === undefined) return null;
  const text = new Date(live.at).toLocaleTimeString();
  return (
    <span class={live.fault ? 'live stale' : 'live'} role={live.fault ? 'status' : undefined}>
      {live.fault ? S.stale(text) : S.live(text)}
    </span>
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

/** A table that becomes a list of cards on a phone. */
export const Table = ({
  label,
  columns,
  rows,
  empty,
}: {
  label: string;
  columns: readonly string[];
  rows: readonly { key: string; cells: readonly ComponentChildren[] }[];
  empty: string;
}) =>
  rows.length === 0 ? (
    <div class="card empty">{empty}</div>
  ) : (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: who uses the keyboard has to scroll a wide table too
    <section class="table" tabIndex={0} aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map((column) =>
              column ? (
                <th key={column} scope="col">
                  {column}
                </th>
              ) : (
                <td key="acts" />
              ),
            )}
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
  children,
}: {
  submit: string;
  isDanger?: boolean;
  onSubmit: (form: FormData) => Promise<void>;
  onCancel?: () => void;
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
            {S.cancel}
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

/** What a made credential is shown with, this once. */
export const ShownOnce = ({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) => (
  <Dialog title={title} onClose={onClose}>
    <Notice>{S.once}</Notice>
    {children}
    <div class="row end">
      <button type="button" class="main" onClick={onClose}>
        {S.done}
      </button>
    </div>
  </Dialog>
);

/** Something to copy, such as a secret that is shown once. */
export const Copyable = ({ label, hint, text }: { label: string; hint?: string; text: string }) => {
  const [isCopied, setCopied] = useState(false);
  return (
    <div>
      <div class="row">
        <strong>{label}</strong>
        <button
          type="button"
          class="small"
          onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
        >
          {isCopied ? S.copied : S.copy}
        </button>
      </div>
      {hint && <p class="quiet">{hint}</p>}
      <code class="secret">{text}</code>
    </div>
  );
};

export const Field = ({
  label,
  hint,
  ...input
}: {
  label: string;
  hint?: string;
  name: string;
  type?: string;
  autoComplete?: string;
  inputMode?: 'numeric';
  defaultValue?: string;
  min?: number;
  max?: number;
  required?: boolean;
  minLength?: number;
}) => (
  <label>
    {label}
    {hint && <span class="hint">{hint}</span>}
    <input required maxLength={400} spellcheck={false} {...(input as object)} />
  </label>
);

export const Choice = ({
  label,
  name,
  options,
}: {
  label: string;
  name: string;
  options: Readonly<Record<string, string>>;
}) => (
  <label>
    {label}
    <select name={name}>
      {Object.entries(options).map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  </label>
);
