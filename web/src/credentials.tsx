/** The list that tokens, applications and client certificates share: making, rotating, revoking, and what is shown once. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { ask, type Credential, type Page } from './api.ts';
import { Choice } from './fields.tsx';
import { useListPath } from './list.tsx';
import { useLive } from './live.ts';
import { ActionForm, Confirm, Dialog, LivePage, Table, Time } from './parts.tsx';
import { ShownOnce } from './shown-once.tsx';
import { S } from './strings.ts';

const C = S.credentials;
const STATE_KINDS = { live: 'good', expired: 'warn', revoked: 'bad' } as const;

/** What a made credential answers with besides its record. */
export type Made = Credential & Readonly<Record<string, string>>;

export interface Family {
  readonly path: string;
  readonly title: string;
  readonly empty: string;
  readonly canRotate: boolean;
  /** Dialogs that make one; `made` shows what is shown once. */
  readonly makers: readonly {
    readonly label: string;
    form: (needs: { made: (made: Made) => void; onClose: () => void }) => ComponentChildren;
  }[];
  /** What is shown once. */
  secrets: (made: Made) => ComponentChildren;
  readonly madeTitle: (name: string) => string;
}

const Permissions = ({ of }: { of: readonly string[] | null }) => (
  <>
    {of === null
      ? C.all
      : of.map((permission) => (
          <span class="chip" key={permission} title={permission}>
            {C.permission[permission] ?? permission}
          </span>
        ))}
  </>
);

export const CredentialsPage = ({ family, mayWrite }: { family: Family; mayWrite: boolean }) => {
  const list = useListPath(family.path);
  const live = useLive<Page<Credential>>(list.path);
  const [making, setMaking] = useState<number>();
  const [rotating, setRotating] = useState<Credential>();
  const [revoking, setRevoking] = useState<Credential>();
  const [made, setMade] = useState<Made>();
  const show = (answer: Made) => {
    setMaking(undefined);
    setRotating(undefined);
    // A certificate that was made elsewhere comes with nothing to show.
    if (family.secrets(answer) !== null) setMade(answer);
    live.refresh();
  };
  const rowFrom = (credential: Credential) => ({
    key: credential.id,
    cells: [
      <span key="name" title={credential.id}>
        {credential.name}
      </span>,
      <span key="state" class={`chip ${STATE_KINDS[credential.state]}`}>
        {C.states[credential.state]}
      </span>,
      <Permissions key="may" of={credential.permissions} />,
      <Time key="expires" of={credential.expires_at} />,
      credential.agent_count === 0 ? C.unused : C.inUse(credential.agent_count, credential.tunnel_count),
      mayWrite && credential.state !== 'revoked' && (
        <>
          {family.canRotate && credential.state === 'live' && (
            <button type="button" class="small" onClick={() => setRotating(credential)}>
              {C.rotate}
            </button>
          )}
          <button type="button" class="small danger" onClick={() => setRevoking(credential)}>
            {C.revoke}
          </button>
        </>
      ),
    ],
  });
  const actions = mayWrite
    ? family.makers.map(({ label }, at) => (
        <button key={label} type="button" class={at === 0 ? 'main' : ''} onClick={() => setMaking(at)}>
          {label}
        </button>
      ))
    : undefined;
  const maker = making === undefined ? undefined : family.makers[making];
  return (
    <LivePage
      title={family.title}
      live={live}
      actions={
        <>
          {actions}
          {list.box}
        </>
      }
    >
      {(page) => (
        <>
          <Table
            label={family.title}
            columns={C.columns}
            rows={page.items.map(rowFrom)}
            empty={list.filter ? C.none : family.empty}
          />
          {list.more(page)}
          {maker && (
            <Dialog title={maker.label} onClose={() => setMaking(undefined)}>
              {maker.form({ made: show, onClose: () => setMaking(undefined) })}
            </Dialog>
          )}
          {rotating && (
            <Dialog title={C.confirmRotate(rotating.name)} onClose={() => setRotating(undefined)}>
              <ActionForm
                submit={C.rotate}
                onCancel={() => setRotating(undefined)}
                onSubmit={async (form) => {
                  const body = { grace_seconds: Number(form.get('grace')) };
                  const path = `${family.path}/${rotating.id}/rotate`;
                  show(await ask<Made>('POST', path, { body, etag: rotating.etag }));
                }}
              >
                <p>{C.rotates(rotating.agent_count)}</p>
                <Choice label={C.grace} name="grace" options={C.graces} />
              </ActionForm>
            </Dialog>
          )}
          {revoking && (
            <Confirm
              title={C.confirmRevoke(revoking.name)}
              consequence={C.revokes(revoking.agent_count, revoking.tunnel_count, revoking.stream_count)}
              submit={C.revoke}
              onClose={() => setRevoking(undefined)}
              onConfirm={() => ask('DELETE', `${family.path}/${revoking.id}`).then(live.refresh)}
            />
          )}
          {made && (
            <ShownOnce title={family.madeTitle(made.name)} onClose={() => setMade(undefined)}>
              {family.secrets(made)}
            </ShownOnce>
          )}
        </>
      )}
    </LivePage>
  );
};
