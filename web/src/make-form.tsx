/** The form that makes a credential: what it is for, what it may do, and until when. */
import type { ComponentChildren } from 'preact';
import { ask } from './api.ts';
import type { Made } from './credentials.tsx';
import { AllOrSome, Choice, Field } from './fields.tsx';
import { ActionForm } from './parts.tsx';
import { S } from './strings.ts';

const C = S.credentials;

const AGENT_PERMISSIONS = Object.keys(C.permission).filter((permission) => permission !== 'engine.admin');

const wordsFor = (permissions: readonly string[]) =>
  Object.fromEntries(permissions.map((permission) => [permission, C.permission[permission] ?? permission]));

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

/** Asks for a name, permissions and an end, and makes a credential of it. */
export const MakeForm = (props: MakeFormProps) => {
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
      <AllOrSome
        label={C.permissions}
        allLabel={C.everything}
        name="permission"
        options={wordsFor(offered)}
        isAll
      />
      {hasExpiry && <Choice label={C.expires} name="expiry" options={C.expiry} />}
      {children}
    </ActionForm>
  );
};
