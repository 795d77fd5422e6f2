/** Where people are logged in. */
import { ask } from './api.ts';
import { Table, Time } from './parts.tsx';
import { S } from './strings.ts';

const T = S.settings;

export interface Session {
  readonly id: string;
  readonly admin_name: string;
  readonly address: string;
  readonly agent: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly is_own: boolean;
}

export const Sessions = ({
  sessions,
  onChanged,
}: {
  sessions: readonly Session[];
  onChanged: () => void;
}) => {
  const rowFrom = (session: Session) => ({
    key: session.id,
    cells: [
      session.admin_name,
      session.address,
      <span key="agent" class="quiet">
        {session.agent}
      </span>,
      <Time key="since" of={session.created_at} />,
      <Time key="seen" of={session.seen_at} />,
      session.is_own ? (
        <span class="chip good">{T.thisOne}</span>
      ) : (
        <button
          type="button"
          class="small danger"
          onClick={() => void ask('DELETE', `/sessions/${session.id}`).then(onChanged, onChanged)}
        >
          {T.end}
        </button>
      ),
    ],
  });
  return (
    <section>
      <div class="head">
        <h2>{T.sessions}</h2>
      </div>
      <Table label={T.sessions} columns={T.sessionColumns} rows={sessions.map(rowFrom)} empty="" />
    </section>
  );
};
