/** Overview: how the engine is, what is connected, what expires soon, and the traffic of the last hour and day. */
import { type Tunnel, wordOfTruth } from './inventory.ts';
import { useLink } from './link.ts';
import { useLive } from './live.ts';
import { OverviewCharts } from './overview-charts.tsx';
import { LivePage, Time } from './parts.tsx';
import { addressOfList } from './place.ts';
import { S } from './strings.ts';

interface Overview {
  readonly status: 'ready' | 'draining';
  readonly version: string;
  readonly engine: string;
  readonly started_at: string;
  readonly now: string;
  readonly counts: Readonly<Record<keyof typeof S.overview.counts, number>>;
  readonly expiries: readonly { kind: string; name: string; expires_at: string }[];
}

const UNWELL = { down: 'bad', suspect: 'warn' } as const;

/** How many do not work, each a way to them in the list; nothing when all is well. */
const Unwell = ({ tunnels }: { tunnels: ReadonlyMap<string, Tunnel> }) => {
  const states = [...tunnels.values()].map(({ truth }) => truth?.state);
  return (
    <>
      {Object.entries(UNWELL).map(([state, colour]) => {
        const count = states.filter((each) => each === state).length;
        const word = state as keyof typeof UNWELL;
        return count === 0 ? null : (
          <a key={state} class={`chip ${colour}`} href={addressOfList('tunnels', wordOfTruth(word))}>
            {S.overview.unwell(count, S.truth[word])}
          </a>
        );
      })}
    </>
  );
};

export const OverviewPage = () => {
  // The engine tells the numbers that change by the second; what else there is changes with credentials.
  const live = useLive<Overview>('/overview');
  const inventory = useLink().inventory;
  const numbers = inventory?.numbers;
  return (
    <LivePage title={S.nav.overview} live={live}>
      {({ version, engine, started_at, now, expiries, ...asked }) => {
        const status = numbers?.status ?? asked.status;
        const counts = { ...asked.counts, ...numbers };
        return (
          <>
            <div class="card">
              <span class={`chip ${status === 'ready' ? 'good' : 'warn'}`}>{S.overview[status]}</span>{' '}
              {S.overview.facts(version, engine)}{' '}
              <span class="quiet">
                {S.overview.since} <Time of={started_at} />
              </span>
            </div>
            <div class="numbers">
              {Object.entries(S.overview.counts).map(([key, text]) => (
                <div class="card" key={key}>
                  <strong>{counts[key as keyof Overview['counts']]}</strong>
                  <span class="quiet">{text}</span>
                  {key === 'tunnels' && inventory && <Unwell tunnels={inventory.tunnels} />}
                </div>
              ))}
            </div>
            <section class="card">
              <h2>{S.overview.expiries}</h2>
              {expiries.length === 0 && <p class="quiet">{S.overview.noExpiries}</p>}
              {expiries.map(({ kind, name, expires_at }) => (
                <p key={`${kind} ${name} ${expires_at}`}>
                  <span class={`chip ${expires_at <= now ? 'bad' : 'warn'}`}>
                    {expires_at <= now ? S.overview.expired : kind}
                  </span>
                  {name} <span class="quiet">{expires_at <= now && kind}</span> <Time of={expires_at} />
                </p>
              ))}
            </section>
            <OverviewCharts />
          </>
        );
      }}
    </LivePage>
  );
};
