/** Agents: who is connected right now, and how to end that. */
import { useState } from 'preact/hooks';
import { ask, type Page } from './api.ts';
import { useListPath } from './list.tsx';
import { useLive } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Confirm, LivePage, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

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

export const AgentsPage = ({ mayWrite }: PageProps) => {
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
