/** Overview, tunnels and agents: what is going on right now. */
import { useState } from 'preact/hooks';
import { ask, type Page } from './api.ts';
import { useLive } from './live.ts';
import { OverviewCharts } from './overview-charts.tsx';
import { Confirm, LivePage, Table, Time, useListPath } from './parts.tsx';
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

export const OverviewPage = () => {
  const live = useLive<Overview>('/overview');
  return (
    <LivePage title={S.nav.overview} live={live}>
      {({ status, version, engine, started_at, now, counts, expiries }) => (
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
                <strong>{counts[key as keyof typeof counts]}</strong>
                <span class="quiet">{text}</span>
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
      )}
    </LivePage>
  );
};

interface Tunnel {
  readonly id: string;
  readonly name?: string;
  readonly publish: boolean;
  readonly protocol?: string;
  readonly hostname?: string;
  readonly port?: number;
  readonly token_auth?: boolean;
  readonly mtls_auth?: boolean;
  readonly trusted_ips?: readonly string[];
  readonly geo_ip?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly agent?: string;
  readonly address?: string;
  readonly creation_date: string;
}

const addressOf = ({ protocol, hostname = '', port }: Tunnel): string => {
  const scheme = protocol === 'http' ? 'https' : (protocol ?? 'tls');
  return `${scheme}://${hostname}${port === 443 && scheme === 'https' ? '' : `:${port}`}`;
};

/** What a downstream has to have; nothing is said to be protected that is not. */
const protectionsOf = (tunnel: Tunnel): string[] => [
  ...(tunnel.token_auth ? [S.tunnels.tokenAuth] : []),
  ...(tunnel.mtls_auth ? [S.tunnels.mtls] : []),
  ...(tunnel.trusted_ips?.length ? [S.tunnels.addresses] : []),
  ...(tunnel.geo_ip?.length ? [S.tunnels.countries] : []),
];

const Protections = ({ tunnel }: { tunnel: Tunnel }) => {
  if (!tunnel.publish) return <span class="chip good">{S.tunnels.private}</span>;
  const all = protectionsOf(tunnel);
  if (all.length === 0) return <span class="chip warn">{S.tunnels.open}</span>;
  return (
    <>
      {all.map((each) => (
        <span class="chip good" key={each}>
          {each}
        </span>
      ))}
    </>
  );
};

const TunnelName = ({ name, labels = {} }: Tunnel) => (
  <>
    {name ?? <span class="quiet">{S.tunnels.unnamed}</span>}{' '}
    {Object.entries(labels).map(([key, value]) => (
      <span class="chip" key={key}>
        {key}={value}
      </span>
    ))}
  </>
);

export const TunnelsPage = ({ mayWrite }: { mayWrite: boolean }) => {
  const list = useListPath('/tunnels');
  const live = useLive<Page<Tunnel>>(list.path);
  const [closing, setClosing] = useState<Tunnel>();
  const rowFrom = (tunnel: Tunnel) => ({
    key: tunnel.id,
    cells: [
      <TunnelName key="name" {...tunnel} />,
      // Only https is a link: what an agent calls its tunnel chooses no scheme.
      tunnel.publish && tunnel.protocol === 'http' ? (
        <a key="at" class="mono" href={addressOf(tunnel)} target="_blank" rel="noreferrer noopener">
          {addressOf(tunnel)}
        </a>
      ) : (
        <span key="at" class="mono">
          {tunnel.publish ? addressOf(tunnel) : S.tunnels.byName}
        </span>
      ),
      <Protections key="protections" tunnel={tunnel} />,
      <>
        {tunnel.agent} <span class="quiet">{tunnel.address}</span>
      </>,
      <>
        <Time of={tunnel.creation_date} /> <a href={`#/records?tunnel=${tunnel.id}`}>{S.records.link}</a>
      </>,
      mayWrite && (
        <button type="button" class="small danger" onClick={() => setClosing(tunnel)}>
          {S.tunnels.close}
        </button>
      ),
    ],
  });
  return (
    <LivePage title={S.nav.tunnels} live={live} actions={list.box}>
      {(page) => (
        <>
          <Table
            label={S.nav.tunnels}
            columns={S.tunnels.columns}
            rows={page.items.map(rowFrom)}
            empty={list.filter ? S.tunnels.none : S.tunnels.empty}
          />
          {list.more(page)}
          {closing && (
            <Confirm
              title={S.tunnels.confirm(closing.name ?? closing.hostname ?? closing.id)}
              consequence={S.tunnels.consequence}
              submit={S.tunnels.close}
              onClose={() => setClosing(undefined)}
              onConfirm={() => ask('DELETE', `/tunnels/${closing.id}`).then(live.refresh)}
            />
          )}
        </>
      )}
    </LivePage>
  );
};

interface Agent {
  readonly id: string;
  readonly credential_id: string;
  readonly credential_name?: string;
  readonly agent?: string;
  readonly version?: string;
  readonly os?: string;
  readonly arch?: string;
  readonly address: string;
  readonly connected_at: string;
  readonly tunnel_count: number;
}

export const AgentsPage = ({ mayWrite }: { mayWrite: boolean }) => {
  const list = useListPath('/agents');
  const live = useLive<Page<Agent>>(list.path);
  const [ending, setEnding] = useState<Agent>();
  const nameOf = ({ agent = S.agents.unnamed, version = '' }: Agent) => `${agent} ${version}`.trim();
  const rowFrom = (agent: Agent) => ({
    key: agent.id,
    cells: [
      <>
        {nameOf(agent)} <span class="quiet">{[agent.os, agent.arch].filter(Boolean).join(' ')}</span>
      </>,
      agent.address,
      agent.credential_name ?? agent.credential_id,
      agent.tunnel_count,
      <Time key="since" of={agent.connected_at} />,
      mayWrite && (
        <button type="button" class="small danger" onClick={() => setEnding(agent)}>
          {S.agents.disconnect}
        </button>
      ),
    ],
  });
  return (
    <LivePage title={S.nav.agents} live={live} actions={list.box}>
      {(page) => (
        <>
          <Table
            label={S.nav.agents}
            columns={S.agents.columns}
            rows={page.items.map(rowFrom)}
            empty={list.filter ? S.agents.none : S.agents.empty}
          />
          {list.more(page)}
          {ending && (
            <Confirm
              title={S.agents.confirm(nameOf(ending))}
              consequence={S.agents.consequence(ending.tunnel_count)}
              submit={S.agents.disconnect}
              onClose={() => setEnding(undefined)}
              onConfirm={() => ask('DELETE', `/agents/${ending.id}`).then(live.refresh)}
            />
          )}
        </>
      )}
    </LivePage>
  );
};
