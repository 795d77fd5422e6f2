/** What the list of webhooks and the page of one share: their shape, their form, their state, and the secret that is shown once. */
import { AllOrSome, Field } from './fields.tsx';
import { ActionForm, Notice } from './parts.tsx';
import { Copyable, ShownOnce } from './shown-once.tsx';
import { S } from './strings.ts';

const T = S.webhooks;
const EVENTS = Object.keys(T.event);
const ALL = '*';
const URL_CHARS_MAX = 2_048;

export interface Webhook {
  readonly id: string;
  readonly name: string;
  readonly source: 'config' | 'admin';
  readonly url: string;
  readonly events: readonly string[];
  readonly state: keyof typeof T.states;
  readonly failure_count: number;
  readonly failing_since?: string;
  readonly waiting_count: number;
  readonly old_secret_until?: string;
  readonly created_at: string;
  readonly etag: string;
}

export type WebhookWithSecret = Webhook & { readonly secret: string };

/** What a webhook is made with, or changed to. */
export interface Order {
  readonly name: string;
  readonly url: string;
  readonly events: readonly string[];
}

/** Whether a filter lets an event through: its name, its group, or all. */
const isIn = (filter: string, event: string): boolean =>
  filter === event || filter === ALL || filter === `${event.split('.', 1)[0]}.*`;

export const wordsOf = (event: string): string => T.event[event] ?? T.testEvent;

const STATE_KINDS = { enabled: 'good', disabled: 'warn', failed: 'bad' } as const;

export const State = ({ of: { state, failure_count } }: { of: Webhook }) => (
  <>
    <span class={`chip ${STATE_KINDS[state]}`}>{T.states[state]}</span>{' '}
    {failure_count > 0 && <span class="quiet">{T.failing(failure_count)}</span>}
  </>
);

export const Told = ({ of }: { of: readonly string[] }) => (
  <>
    {of.includes(ALL) ? (
      <span class="chip">{T.everything}</span>
    ) : (
      EVENTS.filter((event) => of.some((filter) => isIn(filter, event))).map((event) => (
        <span class="chip" key={event} title={event}>
          {wordsOf(event)}
        </span>
      ))
    )}
  </>
);

export const Configured = ({ of }: { of: Webhook }) =>
  of.source === 'config' ? (
    <span class="chip" title={T.configuredHint}>
      {T.configured}
    </span>
  ) : null;

/** A group that was asked for and is still wanted whole stays one: it may get more events with another version. */
const eventsFrom = (form: FormData, before: readonly string[]): readonly string[] => {
  if (form.get('all') === 'on') return [ALL];
  const chosen = form.getAll('event').map(String);
  const groups = before.filter(
    (filter) =>
      filter.endsWith('.*') && EVENTS.every((event) => !isIn(filter, event) || chosen.includes(event)),
  );
  return [...groups, ...chosen.filter((event) => !groups.some((group) => isIn(group, event)))];
};

/** Asks what a webhook is, new or as it was. */
export const WebhookForm = ({
  before,
  submit,
  onOrder,
  onClose,
}: {
  before?: Webhook;
  submit: string;
  onOrder: (order: Order) => Promise<void>;
  onClose: () => void;
}) => {
  const events = before?.events ?? [];
  return (
    <ActionForm
      submit={submit}
      onCancel={onClose}
      onSubmit={(form) =>
        onOrder({
          name: String(form.get('name') ?? '').trim(),
          url: String(form.get('url') ?? '').trim(),
          events: eventsFrom(form, events),
        })
      }
    >
      <Field
        label={T.name}
        hint={T.nameHint}
        name="name"
        autoComplete="off"
        defaultValue={before?.name ?? ''}
      />
      <Field
        label={T.url}
        hint={T.urlHint}
        name="url"
        type="url"
        autoComplete="off"
        maxLength={URL_CHARS_MAX}
        defaultValue={before?.url ?? ''}
      />
      <AllOrSome
        label={T.events}
        allLabel={T.everything}
        name="event"
        options={T.event}
        isAll={events.includes(ALL)}
        isChosen={(event) => events.some((filter) => filter !== ALL && isIn(filter, event))}
      />
    </ActionForm>
  );
};

const PYTHON = `from rstream import webhooks
event = webhooks.verify_event(request_body, request.headers["rstream-signature"], SECRET)`;

const NODE = `import { createHmac, timingSafeEqual } from 'node:crypto';

const isOurs = (body, header, secret, toleranceSeconds = 300) => {
  const parts = (header ?? '').split(',').map((part) => part.split('='));
  const seconds = Number(parts.find(([name]) => name === 't')?.[1]);
  if (!(Math.abs(Date.now() / 1000 - seconds) <= toleranceSeconds)) return false;
  const expected = createHmac('sha256', secret).update(\`\${seconds}.\`).update(body).digest();
  return parts.some(([name, hex]) => {
    const given = Buffer.from(hex ?? '', 'hex');
    return name === 'v1' && given.length === expected.length && timingSafeEqual(given, expected);
  });
};`;

/** The secret, this once, and what the receiver does with it. */
export const SecretShown = ({ of, onClose }: { of: WebhookWithSecret; onClose: () => void }) => (
  <ShownOnce title={T.made(of.name)} onClose={onClose}>
    <Copyable label={T.secret} hint={T.secretHint} text={of.secret} />
    <Copyable label={T.python} hint={T.pythonHint} text={PYTHON} />
    <Copyable label={T.node} hint={T.nodeHint} text={NODE} />
  </ShownOnce>
);

/** Why it is not well, and what can be done about it. */
export const Health = ({ of: { state, source } }: { of: Webhook }) => (
  <>
    {state === 'failed' && <Notice kind="bad">{T.stateHints.failed}</Notice>}
    {state === 'disabled' && <Notice>{T.stateHints.disabled}</Notice>}
    {source === 'config' && <Notice>{T.configuredHint}</Notice>}
  </>
);
