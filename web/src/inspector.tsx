/**
 * The inspector of one tunnel: start and stop it, and list what it has captured.
 *
 * Invariant: needs nothing but the id of a tunnel and what to call it; what it asks for is for admins alone.
 */
import { useState } from 'preact/hooks';
import { ask, type Page } from './api.ts';
import { CapturedExchange, Ending, type ExchangeSummary } from './captured-exchange.tsx';
import { Choice } from './fields.tsx';
import { useLive } from './live.ts';
import { ActionForm, Confirm, Notice, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

const T = S.inspector;
const SHOWN_COUNT = 100;

interface Inspection {
  readonly state: 'unavailable' | 'off' | 'capturing' | 'ended';
  readonly ends_at?: string;
  readonly count: number;
  readonly dropped_count: number;
  readonly body_bytes_max: number;
}

/** @param name of the tunnel, as its page shows it */
export const Inspector = ({ tunnelId, name }: { tunnelId: string; name: string }) => {
  const path = `/tunnels/${tunnelId}/inspection`;
  const live = useLive<Inspection>(path);
  const [isStopping, setStopping] = useState(false);
  const { value } = live;
  if (!value) return live.fault ? <Notice kind="bad">{live.fault}</Notice> : <p class="quiet">{S.loading}</p>;
  if (value.state === 'unavailable') return <div class="card empty">{T.unavailable}</div>;
  const isOff = value.state === 'off';
  return (
    <section aria-label={T.title(name)}>
      <div class="card">
        <h2>{T.title(name)}</h2>
        <p>
          <span class={`chip ${value.state === 'capturing' ? 'warn' : ''}`}>{T.states[value.state]}</span>
          {!isOff && (
            <span class="quiet">
              {T.until} <Time of={value.ends_at} /> {T.facts(value.count, value.dropped_count)}
            </span>
          )}
        </p>
        <p class="quiet">{T.warning(value.body_bytes_max)}</p>
        <ActionForm
          submit={isOff ? T.start : T.extend}
          onSubmit={async (form) => {
            await ask('PUT', path, { body: { minutes: Number(form.get('minutes')) } });
            live.refresh();
          }}
          {...(!isOff && { onCancel: () => setStopping(true), cancel: T.stop })}
        >
          <Choice label={T.minutes} name="minutes" options={T.durations} />
        </ActionForm>
      </div>
      {!isOff && <Exchanges path={`${path}/exchanges`} name={name} />}
      {isStopping && (
        <Confirm
          title={T.confirmStop(name)}
          consequence={T.stopConsequence}
          submit={T.stop}
          onClose={() => setStopping(false)}
          onConfirm={() => ask('DELETE', path).then(live.refresh)}
        />
      )}
    </section>
  );
};

const Exchanges = ({ path, name }: { path: string; name: string }) => {
  const live = useLive<Page<ExchangeSummary>>(`${path}?limit=${SHOWN_COUNT}`);
  const [openId, setOpenId] = useState<string>();
  const { value } = live;
  if (!value) return live.fault ? <Notice kind="bad">{live.fault}</Notice> : <p class="quiet">{S.loading}</p>;
  const rowFrom = (exchange: ExchangeSummary) => ({
    key: exchange.id,
    cells: [
      <span key="request" class="mono">
        {exchange.method} {exchange.target}
      </span>,
      <Ending key="ending" exchange={exchange} />,
      T.ms(exchange.duration_ms),
      T.bytes(exchange.response_bytes),
      exchange.address,
      <Time key="at" of={exchange.started_at} />,
      <button
        key="open"
        type="button"
        class="small"
        aria-label={T.openNumber(exchange.number)}
        aria-expanded={openId === exchange.id}
        onClick={() => setOpenId(openId === exchange.id ? undefined : exchange.id)}
      >
        {T.open}
      </button>,
    ],
  });
  return (
    <>
      {live.fault && <Notice kind="bad">{live.fault}</Notice>}
      <Table label={T.exchanges} columns={T.columns} rows={value.items.map(rowFrom)} empty={T.empty} />
      {value.total > SHOWN_COUNT && <p class="quiet">{T.onlyNewest(SHOWN_COUNT, value.total)}</p>}
      {openId && (
        <CapturedExchange key={openId} path={path} id={openId} name={name} onReplayed={live.refresh} />
      )}
    </>
  );
};
