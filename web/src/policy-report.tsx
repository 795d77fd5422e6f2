/** What a draft of the policy would do. */
import { inLocalZone, Notice, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

interface Group {
  readonly tunnel_id: string;
  readonly tunnel_name?: string;
  readonly host?: string;
  readonly address: string;
  readonly country?: string;
  readonly code?: string;
  readonly is_open: boolean;
  readonly count: number;
  readonly first_at: string;
  readonly last_at: string;
}

interface Side {
  readonly groups: readonly Group[];
  readonly count: number;
  readonly other_count: number;
}

export interface Report {
  readonly changes: readonly { key: string; change: string }[];
  readonly pending: readonly string[];
  readonly records?: {
    readonly looked_at: number;
    readonly since?: string;
    readonly is_cut: boolean;
    readonly cut_off: Side;
    readonly admitted: Side;
  };
  readonly tunnels: readonly { id: string; name?: string; hostname?: string; problem: string }[];
  readonly connections: {
    readonly items: readonly { tunnel_id: string; tunnel_name?: string; address: string; code: string }[];
    readonly count: number;
  };
  readonly yaml: string;
}

export const ReportView = ({
  report: { changes, pending, records, tunnels, connections },
}: {
  report: Report;
}) => (
  <section aria-label={S.policy.result} class="report">
    <h2>{S.policy.result}</h2>
    {changes.length === 0 && <Notice>{S.policy.noChange}</Notice>}
    {changes.map(({ key, change }) => (
      <p key={key + change}>
        <code>{key}</code> <code>{change}</code>
      </p>
    ))}
    {pending.length > 0 && <Notice>{S.policy.pending(pending.join(', '))}</Notice>}
    {records ? <Past records={records} /> : <Notice>{S.policy.noRecords}</Notice>}
    <h3>
      {S.policy.tunnels} ({tunnels.length})
    </h3>
    <Table
      label={S.policy.tunnels}
      columns={S.policy.tunnelColumns}
      empty={S.policy.noTunnels}
      rows={tunnels.map(({ id, name, hostname, problem }) => ({
        key: id,
        cells: [name ?? hostname ?? id, problem],
      }))}
    />
    <h3>
      {S.policy.connections} ({connections.count})
    </h3>
    <Table
      label={S.policy.connections}
      columns={S.policy.connectionColumns}
      empty={S.policy.noConnections}
      rows={connections.items.map(({ tunnel_id, tunnel_name, address, code }, index) => ({
        key: String(index),
        cells: [tunnel_name ?? tunnel_id, address, <code key="code">{code}</code>],
      }))}
    />
  </section>
);

const Past = ({ records }: { records: NonNullable<Report['records']> }) => {
  const { looked_at, since, is_cut, cut_off, admitted } = records;
  return (
    <>
      <p class="quiet">
        {since ? S.policy.lookedAt(looked_at, inLocalZone(since), is_cut) : S.policy.lookedAtNone}
      </p>
      <h3>
        {S.policy.cutOff} ({cut_off.count.toLocaleString()})
      </h3>
      <Groups label={S.policy.cutOff} side={cut_off} hasCode />
      {admitted.count > 0 && (
        <>
          <h3>
            {S.policy.admitted} ({admitted.count.toLocaleString()})
          </h3>
          <Groups label={S.policy.admitted} side={admitted} />
        </>
      )}
    </>
  );
};

const Groups = ({ label, side, hasCode = false }: { label: string; side: Side; hasCode?: boolean }) => (
  <>
    <Table
      label={label}
      columns={hasCode ? S.policy.columns : S.policy.admittedColumns}
      empty={S.policy.noneCut}
      rows={side.groups.map((group) => ({
        key: `${group.tunnel_id} ${group.address} ${group.code}`,
        cells: [
          <>
            {group.tunnel_name ?? group.host ?? group.tunnel_id}{' '}
            {!group.is_open && <span class="quiet">{S.policy.closedTunnel}</span>}
          </>,
          <>
            <a class="mono" href={`#/records?address=${encodeURIComponent(group.address)}`}>
              {group.address}
            </a>{' '}
            {group.country}
          </>,
          ...(hasCode ? [<code key="code">{group.code}</code>] : []),
          group.count.toLocaleString(),
          <Time key="first" of={group.first_at} />,
          <Time key="last" of={group.last_at} />,
        ],
      }))}
    />
    {side.other_count > 0 && <p class="quiet">{S.policy.others(side.other_count)}</p>}
  </>
);
