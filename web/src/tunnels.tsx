/** Tunnels: what is open right now, who gets in, and how to close it. */
import { useState } from 'preact/hooks';
import { ask, type Page } from './api.ts';
import { useListPath } from './list.tsx';
import { useLive } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Confirm, LivePage, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

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

export const TunnelsPage = ({ mayWrite }: PageProps) => {
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
      <Time key="since" of={tunnel.creation_date} />,
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
