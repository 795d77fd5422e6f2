/**
 * Backup now: asks for a passphrase, and hands the encrypted file to the browser's downloads.
 *
 * Invariant: the passphrase is in the form and in the body of one request, and the file at an address that only this page knows and that
 * ends at once.
 */
import { useState } from 'preact/hooks';
import { askFile } from './api.ts';
import { Field } from './fields.tsx';
import { ActionForm, Dialog, Notice } from './parts.tsx';
import { Copyable } from './shown-once.tsx';
import { S } from './strings.ts';

const T = S.settings.backup;
const PASSPHRASE_CHARS_MIN = 12;

interface Done {
  readonly name: string;
  readonly bytes: number;
}

const keep = ({ content, name }: { content: Blob; name: string }): Done => {
  const address = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  // The download has begun with the click, and holds what it needs.
  setTimeout(() => URL.revokeObjectURL(address), 1_000);
  return { name, bytes: content.size };
};

export const Backup = () => {
  const [isAsking, setAsking] = useState(false);
  const [done, setDone] = useState<Done>();
  const [problem, setProblem] = useState<string>();
  const close = () => {
    setAsking(false);
    setProblem(undefined);
  };
  return (
    <section class="card">
      <h2>{T.title}</h2>
      <p>{T.what}</p>
      {done && (
        <>
          <Notice kind="good">{T.done(done.name, done.bytes)}</Notice>
          <Copyable
            label={T.restore}
            hint={T.restoreHint}
            text={`rstream-engine-ce restore ${done.name} --dir data --passphrase-file passphrase`}
          />
        </>
      )}
      <div class="row">
        <button type="button" onClick={() => setAsking(true)}>
          {T.now}
        </button>
      </div>
      {isAsking && (
        <Dialog title={T.now} onClose={close}>
          <ActionForm
            submit={T.submit}
            onCancel={close}
            onSubmit={async (form) => {
              const passphrase = String(form.get('passphrase') ?? '');
              const isSame = passphrase === form.get('repeat');
              setProblem(isSame ? undefined : S.login.differ);
              if (!isSame) return;
              setDone(keep(await askFile('/backup', { passphrase })));
              close();
            }}
          >
            <Field
              label={T.passphrase}
              hint={T.passphraseHint}
              name="passphrase"
              type="password"
              autoComplete="new-password"
              minLength={PASSPHRASE_CHARS_MIN}
            />
            <Field
              label={T.repeat}
              name="repeat"
              type="password"
              autoComplete="new-password"
              minLength={PASSPHRASE_CHARS_MIN}
            />
            {problem && <Notice kind="bad">{problem}</Notice>}
          </ActionForm>
        </Dialog>
      )}
    </section>
  );
};
