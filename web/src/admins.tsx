/** Who may log in, and as what. */
import { useState } from 'preact/hooks';
import { type Admin, ask } from './api.ts';
import { Choice, Field } from './fields.tsx';
import { ActionForm, Confirm, Dialog, Table, Time } from './parts.tsx';
import { Copyable, ShownOnce } from './shown-once.tsx';
import { S } from './strings.ts';

const T = S.settings;

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

export const Admins = ({
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
        <ShownOnce title={T.linkFor(made.name)} onClose={() => setMade(undefined)}>
          <Copyable label={T.linkFor(made.name)} hint={T.linkHint} text={made.link} />
        </ShownOnce>
      )}
    </section>
  );
};
