/** The own login, who else may log in, and where people are logged in. */
import { useState } from 'preact/hooks';
import { type Admin, ask, type Me, type Page } from './api.ts';
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
} from './parts.tsx';
import { S } from './strings.ts';

const T = S.settings;

interface Session {
  readonly id: string;
  readonly admin_name: string;
  readonly address: string;
  readonly agent: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly is_own: boolean;
}

export const SettingsPage = ({ me, mayWrite, onMe }: { me: Me; mayWrite: boolean; onMe: () => void }) => {
  const admins = useLive<Page<Admin>>('/admins');
  const sessions = useLive<Page<Session>>('/sessions');
  const refresh = () => {
    admins.refresh();
    sessions.refresh();
  };
  return (
    <LivePage title={S.nav.settings} live={admins}>
      {(page) => (
        <>
          <OwnLogin
            me={me}
            onChanged={() => {
              onMe();
              refresh();
            }}
          />
          <Admins admins={page.items} ownId={me.admin.id} mayWrite={mayWrite} onChanged={refresh} />
          <Sessions sessions={sessions.value?.items ?? []} onChanged={refresh} />
        </>
      )}
    </LivePage>
  );
};

const Present = () => (
  <Field label={T.present} name="password" type="password" autoComplete="current-password" />
);

const OwnLogin = ({ me, onChanged }: { me: Me; onChanged: () => void }) => {
  const [open, setOpen] = useState<'password' | 'totp'>();
  const [isChanged, setChanged] = useState(false);
  const { has_totp: hasTotp, name } = me.admin;
  const close = () => setOpen(undefined);
  return (
    <section class="card">
      <h2>{T.own}</h2>
      <p>
        {name} <span class="chip">{T.roles[me.admin.role]}</span> {T.totpIs[`${hasTotp}`]}
      </p>
      {isChanged && <Notice kind="good">{T.changed}</Notice>}
      <div class="row">
        <button type="button" onClick={() => setOpen('password')}>
          {T.password}
        </button>
        <button type="button" onClick={() => setOpen('totp')}>
          {hasTotp ? T.totpOff : T.totpOn}
        </button>
      </div>
      {open === 'password' && (
        <Dialog title={T.password} onClose={close}>
          <ActionForm
            submit={T.password}
            onCancel={close}
            onSubmit={async (form) => {
              const body = { password: form.get('password'), next: form.get('next') };
              await ask('POST', '/session/password', { body });
              setChanged(true);
              close();
            }}
          >
            <Present />
            <Field label={T.next} name="next" type="password" autoComplete="new-password" minLength={12} />
          </ActionForm>
        </Dialog>
      )}
      {open === 'totp' && <TotpDialog hasTotp={hasTotp} onClose={close} onChanged={onChanged} />}
    </section>
  );
};

const TotpDialog = ({
  hasTotp,
  onClose,
  onChanged,
}: {
  hasTotp: boolean;
  onClose: () => void;
  onChanged: () => void;
}) => {
  const [fresh, setFresh] = useState<{ secret: string; address: string }>();
  const done = () => {
    onChanged();
    onClose();
  };
  return (
    <Dialog title={hasTotp ? T.totpOff : T.totpOn} onClose={onClose}>
      {hasTotp && (
        <ActionForm
          submit={T.totpOff}
          onCancel={onClose}
          onSubmit={async (form) => {
            await ask('POST', '/session/totp/off', { body: { password: form.get('password') } });
            done();
          }}
        >
          <Present />
        </ActionForm>
      )}
      {!hasTotp && !fresh && (
        <ActionForm
          submit={T.totpOn}
          onCancel={onClose}
          onSubmit={async () => setFresh(await ask('POST', '/session/totp/secret'))}
        />
      )}
      {!hasTotp && fresh && (
        <ActionForm
          submit={T.totpOn}
          onCancel={onClose}
          onSubmit={async (form) => {
            const body = { password: form.get('password'), secret: fresh.secret, code: form.get('code') };
            await ask('POST', '/session/totp', { body });
            done();
          }}
        >
          <Copyable label={T.totpSecret} text={fresh.secret} />
          <p>
            <a href={fresh.address}>{T.totpOpen}</a>
          </p>
          <Field label={S.login.code} name="code" autoComplete="one-time-code" inputMode="numeric" />
          <Present />
        </ActionForm>
      )}
    </Dialog>
  );
};

interface Question {
  readonly title: string;
  readonly consequence: string;
  readonly submit: string;
  readonly onConfirm: () => Promise<unknown>;
}

interface LinkAnswer {
  readonly name: string;
  readonly link: string;
}

const loginOf = ({ has_password, has_totp }: Admin): string =>
  has_totp ? T.by.totp : has_password ? T.by.password : T.by.link;

const Admins = ({
  admins,
  ownId,
  mayWrite,
  onChanged,
}: {
  admins: readonly Admin[];
  ownId: string;
  mayWrite: boolean;
  onChanged: () => void;
}) => {
  const [isAdding, setAdding] = useState(false);
  const [question, setQuestion] = useState<Question>();
  const [made, setMade] = useState<LinkAnswer>();
  const show = (answer: LinkAnswer) => {
    setAdding(false);
    setMade(answer);
    onChanged();
  };
  const askLink = ({ id, name }: Admin): Question => ({
    title: T.confirmLink(name),
    consequence: T.linkConsequence,
    submit: T.newLink,
    onConfirm: () => ask<LinkAnswer>('POST', `/admins/${id}/link`).then(show),
  });
  const askRemoval = ({ id, name }: Admin): Question => ({
    title: T.confirmRemove(name),
    consequence: T.removeConsequence,
    submit: T.remove,
    onConfirm: () => ask('DELETE', `/admins/${id}`).then(onChanged),
  });
  const askRole = ({ id, name, role, etag }: Admin): Question => {
    const next = role === 'admin' ? 'viewer' : 'admin';
    const submit = next === 'viewer' ? T.makeViewer : T.makeAdmin;
    const change = () => ask('PATCH', `/admins/${id}`, { body: { role: next }, etag });
    return {
      title: `${submit}: ${name}`,
      consequence: '',
      submit,
      onConfirm: () => change().then(onChanged),
    };
  };
  const rowFrom = (admin: Admin) => ({
    key: admin.id,
    cells: [
      admin.name,
      T.roles[admin.role],
      loginOf(admin),
      <Time key="last" of={admin.last_login_at} />,
      mayWrite && admin.id !== ownId && (
        <>
          <button type="button" class="small" onClick={() => setQuestion(askLink(admin))}>
            {T.newLink}
          </button>
          <button type="button" class="small" onClick={() => setQuestion(askRole(admin))}>
            {admin.role === 'admin' ? T.makeViewer : T.makeAdmin}
          </button>
          <button type="button" class="small danger" onClick={() => setQuestion(askRemoval(admin))}>
            {T.remove}
          </button>
        </>
      ),
    ],
  });
  return (
    <section>
      <div class="head">
        <h2>{T.admins}</h2>
        {mayWrite && (
          <button type="button" onClick={() => setAdding(true)}>
            {T.add}
          </button>
        )}
      </div>
      <Table label={T.admins} columns={T.adminColumns} rows={admins.map(rowFrom)} empty="" />
      {question && <Confirm {...question} onClose={() => setQuestion(undefined)} />}
      {isAdding && (
        <Dialog title={T.add} onClose={() => setAdding(false)}>
          <ActionForm
            submit={T.add}
            onCancel={() => setAdding(false)}
            onSubmit={async (form) => {
              const body = { name: form.get('name'), role: form.get('role') };
              show(await ask<LinkAnswer>('POST', '/admins', { body }));
            }}
          >
            <Field label={S.login.name} name="name" autoComplete="off" />
            <Choice label={T.role} name="role" options={T.roles} />
          </ActionForm>
        </Dialog>
      )}
      {made && (
        <Dialog title={T.linkFor(made.name)} onClose={() => setMade(undefined)}>
          <Copyable label={T.linkFor(made.name)} hint={T.linkHint} text={made.link} />
          <div class="row end">
            <button type="button" class="main" onClick={() => setMade(undefined)}>
              {S.done}
            </button>
          </div>
        </Dialog>
      )}
    </section>
  );
};

const Sessions = ({ sessions, onChanged }: { sessions: readonly Session[]; onChanged: () => void }) => {
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
