/** The audit log, the newest first, and whether it is sound. */
import { useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import { LivePage, Notice, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

interface Entry {
  readonly number: number;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly name?: string;
  readonly origin: string;
  readonly result: string;
}

interface Verdict {
  readonly isSound: boolean;
  readonly text: string;
}

const rowFrom = ({ number, at, actor, action, object, name, origin, result }: Entry) => ({
  key: String(number),
  cells: [
    number,
    <Time key="at" of={at} />,
    actor,
    <code key="action" class="nowrap">
      {action}
    </code>,
    <>
      {name} <span class="quiet">{object}</span>
    </>,
    origin,
    <span key="result" class={`chip ${result === 'ok' ? 'good' : 'bad'}`}>
      {result}
    </span>,
  ],
});

export const AuditPage = () => {
  const [limit, setLimit] = useState(50);
  const live = useLive<{ items: readonly Entry[] }>(`/audit?limit=${limit}`);
  const [verdict, setVerdict] = useState<Verdict>();
  const verify = async () => {
    try {
      const { count, last_number, last_hash } = await ask<{
        count: number;
        last_number: number;
        last_hash: string;
      }>('GET', '/audit/verify');
      setVerdict({ isSound: true, text: S.audit.sound(count, last_number, last_hash) });
    } catch (thrown) {
      setVerdict({ isSound: false, text: sentenceOf(thrown) });
    }
  };
  return (
    <LivePage
      title={S.nav.audit}
      live={live}
      actions={
        <button type="button" onClick={() => void verify()}>
          {S.audit.verify}
        </button>
      }
    >
      {({ items }) => (
        <>
          {verdict && <Notice kind={verdict.isSound ? 'good' : 'bad'}>{verdict.text}</Notice>}
          <Table
            label={S.nav.audit}
            columns={S.audit.columns}
            rows={items.map(rowFrom)}
            empty={S.audit.empty}
          />
          {items.length === limit && limit < 500 && (
            <p class="row end">
              <button type="button" onClick={() => setLimit(500)}>
                {S.more}
              </button>
            </p>
          )}
        </>
      )}
    </LivePage>
  );
};
