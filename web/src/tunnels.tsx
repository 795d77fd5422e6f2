/** Tunnels: what is open right now, who gets in, and how to close it. */
import { useState } from 'preact/hooks';
import { type Tunnel, wordOfTruth } from './inventory.ts';
import { useBrowser } from './list.tsx';
import { useInventory } from './live.ts';
import type { PageProps } from './pages.tsx';
import { LivePage, Table, Time } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';
import { TruthLight } from './truth-light.tsx';
import { TunnelPage } from './tunnel.tsx';
import { Address, addressOf, CloseTunnel, Labels, Protections, shownName } from './tunnel-parts.tsx';

const [NAME, WORKS, ADDRESS, , AGENT, SINCE] = S.tunnels.columns;

const SORTS = {
  [NAME]: shownName,
  [WORKS]: ({ truth }: Tunnel) => truth?.state ?? '',
  [ADDRESS]: (tunnel: Tunnel) => addressOf(tunnel) ?? '',
  [AGENT]: ({ agent = '', address = '' }: Tunnel) => `${agent} ${address}`,
  [SINCE]: ({ creation_date }: Tunnel) => Date.parse(creation_date),
};

const textOf = (tunnel: Tunnel): string => {
  const labels = Object.entries(tunnel.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const { id, name, agent, address, truth } = tunnel;
  const works = truth && wordOfTruth(truth.state);
  return [id, name, addressOf(tunnel), agent, address, works, ...labels].join('\n');
};

export const TunnelsPage = (props: PageProps) =>
  props.rest ? <TunnelPage {...props} /> : <TunnelList {...props} />;

const TunnelList = ({ mayWrite }: PageProps) => {
  const live = useInventory();
  const list = useBrowser<Tunnel>({ name: 'tunnels', textOf, sorts: SORTS });
  const [closing, setClosing] = useState<Tunnel>();
  const rowFrom = (tunnel: Tunnel) => ({
    key: tunnel.id,
    cells: [
      <>
        <a href={addressOfPage('tunnels', tunnel.id)}>{tunnel.name ?? S.tunnels.unnamed}</a>{' '}
        <Labels of={tunnel.labels} onPick={list.show} />
      </>,
      <TruthLight key="truth" truth={tunnel.truth} />,
      <Address key="address" tunnel={tunnel} />,
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
      {({ tunnels }) => {
        const { items, pager } = list.pageOf(tunnels);
        return (
          <>
            {pager}
            <Table
              label={S.nav.tunnels}
              columns={S.tunnels.columns}
              rows={items.map(rowFrom)}
              empty={
                list.filter ? (
                  S.tunnels.none
                ) : (
                  <>
                    {S.tunnels.empty} <a href={addressOfPage('tokens')}>{S.tokens.create}</a>
                  </>
                )
              }
              sorting={list.sorting}
              wide={ADDRESS}
            />
            {closing && <CloseTunnel tunnel={closing} onClose={() => setClosing(undefined)} />}
          </>
        );
      }}
    </LivePage>
  );
};
