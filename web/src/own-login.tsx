/** The own login: its password and its second factor. */
import { useState } from 'preact/hooks';
import { ask, type Me } from './api.ts';
import { Field } from './fields.tsx';
import { ActionForm, Dialog, Notice } from './parts.tsx';
import { Copyable } from './shown-once.tsx';
import { S } from './strings.ts';

const T = S.settings;

const Present = () => (
  <Field label={T.present} name="password" type="password" autoComplete="current-password" />
);

export const OwnLogin = ({ me, onChanged }: { me: Me; onChanged: () => void }) => {
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
