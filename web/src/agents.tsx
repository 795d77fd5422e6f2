/** Agents: who is connected right now, and how to end that. */
import { useMemo, useState } from 'preact/hooks';
import { ask } from './api.ts';
import type { Agent, Tunnel } from './inventory.ts';
import { useBrowser } from './list.tsx';
import { useInventory } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Confirm, LivePage, Table, Time } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';

const [AGENT, FROM, CREDENTIAL, , SINCE] = S.agents.columns;

const nameOf = ({ agent = S.agents.unnamed, version = '' }: Agent): string => `${agent} ${version}`.trim();
const credentialOf = ({ credential_name, credential_id }: Agent): string => credential_name ?? credential_id;

const SORTS = {
  [AGENT]: nameOf,
  [FROM]: ({ address }: Agent) => address,
  [CREDENTIAL]: credentialOf,
  [SINCE]: ({ connected_at }: Agent) => Date.parse(connected_at),
};

const textOf = (agent: Agent): string =>
  [agent.id, nameOf(agent), agent.os, agent.arch, agent.address, credentialOf(agent)].join('\n');

const countsOf = (tunnels: ReadonlyMap<string, Tunnel> | undefined): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>();
  for (const { client_id } of tunnels?.values() ?? [])
    counts.set(client_id, (counts.get(client_id) ?? 0) + 1);
  return counts;
};

export const AgentsPage = ({ mayWrite }: PageProps) => {
  const live = useInventory();
  const list = useBrowser<Agent>({ name: 'agents', textOf, sorts: SORTS });
  const [ending, setEnding] = useState<Agent>();
  const tunnels = live.value?.tunnels;
  const counts = useMemo(() => countsOf(tunnels), [tunnels]);
  const countOf = ({ id }: Agent): number => counts.get(id) ?? 0;
  const rowFrom = (agent: Agent) => ({
    key: agent.id,
    cells: [
      <>
        {nameOf(agent)} <span class="quiet">{[agent.os, agent.arch].filter(Boolean).join(' ')}</span>
      </>,
      agent.address,
      credentialOf(agent),
      countOf(agent),
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
      {({ agents }) => {
        const { items, pager } = list.pageOf(agents);
        return (
          <>
            {pager}
            <Table
              label={S.nav.agents}
              columns={S.agents.columns}
              rows={items.map(rowFrom)}
              empty={
                list.filter ? (
                  S.agents.none
                ) : (
                  <>
                    {S.agents.empty} <a href={addressOfPage('tokens')}>{S.tokens.create}</a>
                  </>
                )
              }
              sorting={list.sorting}
              wide={AGENT}
            />
            {ending && (
              <Confirm
                title={S.agents.confirm(nameOf(ending))}
                consequence={S.agents.consequence(countOf(ending))}
                submit={S.agents.disconnect}
                onClose={() => setEnding(undefined)}
                onConfirm={() => ask('DELETE', `/agents/${ending.id}`)}
              />
            )}
          </>
        );
      }}
    </LivePage>
  );
};
