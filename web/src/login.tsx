/** The way in: by name and password, with a code where there is a second factor, or by a one-time link. */
import { useState } from 'preact/hooks';
import { ask, type Me, Refusal } from './api.ts';
import { Field } from './fields.tsx';
import { ActionForm, Notice } from './parts.tsx';
import { S } from './strings.ts';

const textOf = (form: FormData, name: string): string => String(form.get(name) ?? '');

export const Login = ({ hasEnded, onLogin }: { hasEnded: boolean; onLogin: (me: Me) => void }) => {
  const [needsCode, setNeedsCode] = useState(false);
  const submit = async (form: FormData) => {
    const code = textOf(form, 'code');
    const body = { name: textOf(form, 'name'), password: textOf(form, 'password'), ...(code && { code }) };
    try {
      onLogin(await ask<Me>('POST', '/session', { body }));
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.code !== 'LOGIN_CODE_MISSING') throw thrown;
      setNeedsCode(true);
    }
  };
  return (
    <main class="login">
      <h1>{S.login.title}</h1>
      <p class="quiet">{S.title}</p>
      {hasEnded && <Notice>{S.login.ended}</Notice>}
      <ActionForm submit={S.login.submit} onSubmit={submit}>
        <Field label={S.login.name} name="name" autoComplete="username" />
        <Field label={S.login.password} name="password" type="password" autoComplete="current-password" />
        {needsCode && (
          <Field
            label={S.login.code}
            hint={S.login.codeHint}
            name="code"
            autoComplete="one-time-code"
            inputMode="numeric"
          />
        )}
      </ActionForm>
      <p class="quiet">{S.login.lost}</p>
    </main>
  );
};

/** @param link from the address, which does not hold it any more */
export const FirstLogin = ({ link, onLogin }: { link: string; onLogin: (me: Me) => void }) => {
  const [differ, setDiffer] = useState(false);
  const submit = async (form: FormData) => {
    const password = textOf(form, 'password');
    setDiffer(password !== textOf(form, 'repeat'));
    if (password === textOf(form, 'repeat'))
      onLogin(await ask<Me>('POST', '/session/link', { body: { link, password } }));
  };
  return (
    <main class="login">
      <h1>{S.login.firstTitle}</h1>
      <p class="quiet">{S.login.firstHint}</p>
      <ActionForm submit={S.login.firstSubmit} onSubmit={submit}>
        <Field
          label={S.login.password}
          name="password"
          type="password"
          autoComplete="new-password"
          minLength={12}
        />
        <Field
          label={S.login.repeat}
          name="repeat"
          type="password"
          autoComplete="new-password"
          minLength={12}
        />
        {differ && <Notice kind="bad">{S.login.differ}</Notice>}
      </ActionForm>
    </main>
  );
};
