/** Tokens, applications and client certificates: lists that look alike, each with its own way to make one. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { ask, type Credential, type Page } from './api.ts';
import { useLive } from './live.ts';
import {
  ActionForm,
  Choice,
  Confirm,
  Copyable,
  Dialog,
  Field,
  LivePage,
  Notice,
  Table,
  Time,
  useListPath,
} from './parts.tsx';
import { S } from './strings.ts';

const C = S.credentials;
const STATE_KINDS = { live: 'good', expired: 'warn', revoked: 'bad' } as const;

/** What a made credential answers with besides its record. */
type Made = Credential & Readonly<Record<string, string>>;

interface Family {
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

const CredentialsPage = ({ family, mayWrite }: { family: Family; mayWrite: boolean }) => {
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
              consequence={C.revokes(revoking.agent_count, revoking.tunnel_count)}
              submit={C.revoke}
              onClose={() => setRevoking(undefined)}
              onConfirm={() => ask('DELETE', `${family.path}/${revoking.id}`).then(live.refresh)}
            />
          )}
          {made && (
            <Dialog title={family.madeTitle(made.name)} onClose={() => setMade(undefined)}>
              <Notice>{C.once}</Notice>
              {family.secrets(made)}
              <div class="row end">
                <button type="button" class="main" onClick={() => setMade(undefined)}>
                  {S.done}
                </button>
              </div>
            </Dialog>
          )}
        </>
      )}
    </LivePage>
  );
};

const PermissionFields = ({ offered }: { offered: readonly string[] }) => {
  const [isAll, setAll] = useState(true);
  return (
    <fieldset>
      <legend>{C.permissions}</legend>
      <label class="check">
        <input
          type="checkbox"
          name="all"
          checked={isAll}
          onChange={({ currentTarget }) => setAll(currentTarget.checked)}
        />
        {C.everything}
      </label>
      {!isAll &&
        offered.map((permission) => (
          <label class="check" key={permission}>
            <input type="checkbox" name="permission" value={permission} />
            {C.permission[permission]}
          </label>
        ))}
    </fieldset>
  );
};

const AGENT_PERMISSIONS = Object.keys(C.permission).filter((permission) => permission !== 'engine.admin');

const orderFrom = (form: FormData) => {
  const days = Number(form.get('expiry') ?? 0);
  return {
    name: String(form.get('name') ?? '').trim(),
    permissions: form.get('all') === 'on' ? null : form.getAll('permission').map(String),
    ...(days > 0 && { expires_at: new Date(Date.now() + days * 86_400_000).toISOString() }),
  };
};

interface MakeFormProps {
  readonly path: string;
  readonly submit: string;
  readonly offered?: readonly string[];
  readonly hasExpiry?: boolean;
  readonly more?: (form: FormData) => object;
  readonly made: (made: Made) => void;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

const MakeForm = (props: MakeFormProps) => {
  const {
    path,
    submit,
    offered = AGENT_PERMISSIONS,
    hasExpiry = true,
    more,
    made,
    onClose,
    children,
  } = props;
  return (
    <ActionForm
      submit={submit}
      onCancel={onClose}
      onSubmit={async (form) =>
        made(await ask<Made>('POST', path, { body: { ...orderFrom(form), ...more?.(form) } }))
      }
    >
      <Field label={C.name} hint={C.nameHint} name="name" autoComplete="off" />
      <PermissionFields offered={offered} />
      {hasExpiry && <Choice label={C.expires} name="expiry" options={C.expiry} />}
      {children}
    </ActionForm>
  );
};

/** The lines that make a token work at once. */
const TokenSecrets = ({ made }: { made: Made }) => {
  const overview = useLive<{ engine: string }>('/overview');
  const engine = overview.value?.engine ?? '';
  // From a file: whoever may list processes reads arguments.
  const file = `(umask 077; cat > agent.token) <<'END'\n${made.token}\nEND`;
  const cli = `${file}
rstream context create engine --engine ${engine} --token-file agent.token --engine-tls-ca-file ca.pem --default --no-api-url
rstream forward 8080`;
  const builtIn = `${file}
npm run -s engine -- forward 8080 --engine ${engine} --token-file agent.token --ca-file ca.pem`;
  return (
    <>
      <Copyable label={S.tokens.token} text={made.token ?? ''} />
      {engine && <Copyable label={S.tokens.cli} hint={S.tokens.cliHint} text={cli} />}
      {engine && <Copyable label={S.tokens.builtIn} text={builtIn} />}
    </>
  );
};

const TOKENS: Family = {
  path: '/tokens',
  title: S.nav.tokens,
  empty: S.tokens.empty,
  canRotate: true,
  makers: [
    {
      label: S.tokens.create,
      form: (needs) => (
        <MakeForm path="/tokens" submit={C.create} offered={Object.keys(C.permission)} {...needs} />
      ),
    },
  ],
  secrets: (made) => <TokenSecrets made={made} />,
  madeTitle: S.tokens.made,
};

const APPLICATIONS: Family = {
  path: '/applications',
  title: S.nav.applications,
  empty: S.applications.empty,
  canRotate: true,
  makers: [
    {
      label: S.applications.create,
      form: (needs) => <MakeForm path="/applications" submit={C.create} {...needs} />,
    },
  ],
  secrets: ({ client_id, client_secret }) => (
    <>
      <Copyable label={S.applications.id} text={client_id ?? ''} />
      <Copyable label={S.applications.secret} text={client_secret ?? ''} />
    </>
  ),
  madeTitle: S.applications.made,
};

const CERTIFICATES: Family = {
  path: '/certificates',
  title: S.nav.certificates,
  empty: S.certificates.empty,
  canRotate: false,
  makers: [
    {
      label: S.certificates.issue,
      form: (needs) => (
        <MakeForm
          path="/certificates"
          submit={S.certificates.issue}
          hasExpiry={false}
          more={(form) => ({ days: Number(form.get('days')) })}
          {...needs}
        >
          <Field
            label={S.certificates.days}
            name="days"
            type="number"
            min={1}
            max={3_650}
            defaultValue="365"
          />
        </MakeForm>
      ),
    },
    {
      label: S.certificates.add,
      form: ({ onClose, made }) => (
        <MakeForm
          path="/certificates/add"
          submit={S.certificates.add}
          more={(form) => ({ pem: String(form.get('pem')) })}
          made={made}
          onClose={onClose}
        >
          <label>
            {S.certificates.pem}
            <span class="hint">{S.certificates.pemHint}</span>
            <textarea name="pem" rows={6} required spellcheck={false} />
          </label>
        </MakeForm>
      ),
    },
  ],
  secrets: ({ download_path, password }) =>
    download_path === undefined ? null : (
      <>
        <p>
          <a href={download_path} download>
            {S.certificates.download}
          </a>
          <span class="hint quiet"> {S.certificates.downloadHint}</span>
        </p>
        <Copyable label={S.certificates.password} text={password ?? ''} />
      </>
    ),
  madeTitle: S.certificates.made,
};

interface Props {
  readonly mayWrite: boolean;
}
export const TokensPage = (props: Props) => <CredentialsPage key="tokens" family={TOKENS} {...props} />;
export const ApplicationsPage = (props: Props) => (
  <CredentialsPage key="applications" family={APPLICATIONS} {...props} />
);
export const CertificatesPage = (props: Props) => (
  <CredentialsPage key="certificates" family={CERTIFICATES} {...props} />
);
