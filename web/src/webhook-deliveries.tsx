/** What became of each event that a webhook was told of, the newest first. */
import { useEffect, useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import { Notice, Table, Time } from './parts.tsx';
import { S } from './strings.ts';
import { wordsOf } from './webhook-parts.tsx';

const T = S.webhooks;
const FIRST_ROWS = 25;
const MOST_ROWS = 500;
const STATE_KINDS = { waiting: 'warn', delivered: 'good', failed: 'bad', expired: 'bad' } as const;

export interface Delivery {
  readonly id: string;
  readonly event_id: string;
  readonly type: string;
  readonly state: keyof typeof T.deliveryStates;
  readonly attempt_count: number;
  readonly created_at: string;
  readonly tried_at?: string;
  readonly next_try_at?: string;
  readonly status?: number;
  readonly code?: string;
  readonly duration_ms?: number;
}

const problemOf = ({ code, status }: Delivery): string => {
  if (code === undefined) return '';
  if (code === 'WEBHOOK_REFUSED' && status !== undefined) return T.refused(status);
  return T.problems[code] ?? T.unknownProblem(code);
};

/** What came of a test, in a sentence. */
export const outcomeOf = (delivery: Delivery): string =>
  delivery.state === 'delivered'
    ? T.tested.delivered(delivery.status ?? 0, delivery.duration_ms ?? 0)
    : T.tested.failed(problemOf(delivery));

const StateOf = ({ of: delivery }: { of: Delivery }) => (
  <>
    <span class={`chip ${STATE_KINDS[delivery.state]}`}>{T.deliveryStates[delivery.state]}</span>{' '}
    <span class="quiet">
      {delivery.state === 'delivered' && delivery.status !== undefined
        ? T.answered(delivery.status)
        : problemOf(delivery)}
    </span>{' '}
    {delivery.next_try_at !== undefined && (
      <span class="quiet" title={T.notBefore}>
        {T.nextTry} <Time of={delivery.next_try_at} />
      </span>
    )}
  </>
);

/** @param turn another one has it look again at once */
export const Deliveries = ({
  webhookPath,
  mayWrite,
  turn,
}: {
  webhookPath: string;
  mayWrite: boolean;
  turn: string | undefined;
}) => {
  const [limit, setLimit] = useState(FIRST_ROWS);
  const [told, setTold] = useState<{ text: string; kind: 'good' | 'bad' }>();
  const live = useLive<{ items: readonly Delivery[] }>(`${webhookPath}/deliveries?limit=${limit}`);
  useEffect(() => {
    if (turn !== undefined) live.refresh();
  }, [turn]);
  const redeliver = async ({ id }: Delivery) => {
    try {
      await ask('POST', `/webhook-deliveries/${id}/redeliver`);
      setTold({ text: T.requeued, kind: 'good' });
      live.refresh();
    } catch (thrown) {
      setTold({ text: sentenceOf(thrown), kind: 'bad' });
    }
  };
  const rowFrom = (delivery: Delivery) => ({
    key: delivery.id,
    cells: [
      <span key="what" title={delivery.event_id}>
        {wordsOf(delivery.type)} <code class="quiet">{delivery.type}</code>
      </span>,
      <StateOf key="state" of={delivery} />,
      delivery.attempt_count,
      <Time key="queued" of={delivery.created_at} />,
      <Time key="tried" of={delivery.tried_at} />,
      mayWrite && delivery.state !== 'waiting' && (
        <button
          type="button"
          class="small"
          aria-label={T.redeliverOne(delivery.event_id)}
          onClick={() => void redeliver(delivery)}
        >
          {T.redeliver}
        </button>
      ),
    ],
  });
  const items = live.value?.items ?? [];
  return (
    <section>
      <div class="head">
        <h2>{T.deliveries}</h2>
      </div>
      {told && <Notice kind={told.kind}>{told.text}</Notice>}
      {live.fault && !live.value && <Notice kind="bad">{live.fault}</Notice>}
      {live.value && (
        <Table
          label={T.deliveries}
          columns={T.deliveryColumns}
          rows={items.map(rowFrom)}
          empty={T.noDeliveries}
        />
      )}
      {items.length === limit && limit < MOST_ROWS && (
        <p class="row end">
          <button type="button" onClick={() => setLimit(MOST_ROWS)}>
            {S.more}
          </button>
        </p>
      )}
    </section>
  );
};
