/** One tunnel: where it is reached, who gets in, and who serves it. */
import { useRef, useState } from 'preact/hooks';
import { Inspector } from './inspector.tsx';
import type { Tunnel } from './inventory.ts';
import { useInventory } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Facts, LivePage, Notice, Time } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { Qr } from './shown-once.tsx';
import { S } from './strings.ts';
import { TruthLight } from './truth-light.tsx';
import { Address, addressOf, CloseTunnel, Labels, Protections, shownName } from './tunnel-parts.tsx';

const T = S.tunnel;

const isOf = (flag: boolean | undefined): string => (flag ? T.yes : T.no);

const demandsOf = (tunnel: Tunnel) => ({
  [T.whoGetsIn]: <Protections tunnel={tunnel} />,
  [T.tokenAuth]: isOf(tunnel.token_auth),
  [T.mtls]: isOf(tunnel.mtls_auth),
  [T.trustedIps]: tunnel.trusted_ips?.join(', ') || T.any,
  [T.countries]: tunnel.geo_ip?.join(', ') || T.any,
  [T.tls]: tunnel.tls_min_version ?? T.engineDecides,
});

const factsOf = (tunnel: Tunnel) => ({
  ...(tunnel.truth && { [T.works]: <TruthLight truth={tunnel.truth} /> }),
  [T.id]: <code>{tunnel.id}</code>,
  [T.kind]: [tunnel.type, tunnel.protocol, tunnel.http_version].filter(Boolean).join(', '),
  [T.labels]: tunnel.labels && Object.keys(tunnel.labels).length > 0 ? <Labels of={tunnel.labels} /> : T.none,
  [T.since]: <Time of={tunnel.creation_date} />,
  [T.agent]: `${tunnel.agent ?? S.agents.unnamed} ${tunnel.address ?? ''}`,
  [T.credential]: <code>{tunnel.credential_id}</code>,
  [T.traffic]: <a href={`${addressOfPage('records')}?tunnel=${tunnel.id}`}>{S.records.link}</a>,
  [T.upstreamTls]: isOf(tunnel.upstream_tls),
});

export const TunnelPage = ({ mayWrite, rest: id }: PageProps) => {
  const live = useInventory();
  const [isClosing, setClosing] = useState(false);
  const present = live.value?.tunnels.get(id);
  // What has closed is still shown to who was looking at it.
  const latest = useRef<Tunnel>(undefined);
  if (present) latest.current = present;
  const tunnel = latest.current?.id === id ? latest.current : undefined;
  const address = tunnel && addressOf(tunnel);
  return (
    <>
      <p>
        <a href={addressOfPage('tunnels')}>{T.back}</a>
      </p>
      <LivePage
        title={tunnel ? shownName(tunnel) : T.title}
        live={live}
        actions={
          present &&
          mayWrite && (
            <button type="button" class="danger" onClick={() => setClosing(true)}>
              {S.tunnels.close}
            </button>
          )
        }
      >
        {() => (
          <>
            {!present && <Notice>{tunnel ? T.closed : T.unknown}</Notice>}
            {tunnel && (
              <>
                <section class="card with-qr">
                  <div>
                    <h2>{T.address}</h2>
                    <p>
                      <Address tunnel={tunnel} />
                    </p>
                    {address === undefined && <p class="quiet">{T.privateHint}</p>}
                  </div>
                  {address !== undefined && tunnel.protocol === 'http' && (
                    <Qr address={address} label={T.qr} />
                  )}
                </section>
                <section class="card">
                  <h2>{T.demands}</h2>
                  <Facts of={demandsOf(tunnel)} />
                </section>
                <section class="card">
                  <h2>{T.facts}</h2>
                  <Facts of={factsOf(tunnel)} />
                </section>
                {present && mayWrite && tunnel.protocol === 'http' && (
                  <Inspector tunnelId={tunnel.id} name={shownName(tunnel)} />
                )}
                {isClosing && present && <CloseTunnel tunnel={tunnel} onClose={() => setClosing(false)} />}
              </>
            )}
          </>
        )}
      </LivePage>
    </>
  );
};
