/**
 * The certificates that the engine shows, and to replace one: checked first, then replaced by whoever confirms it.
 *
 * Invariant: a key is in the form until the dialog closes, and in nothing else of this page.
 */
import { useRef, useState } from 'preact/hooks';
import { ask } from './api.ts';
import { useLive } from './live.ts';
import { ActionForm, Dialog, Facts, LivePage, Notice, Time } from './parts.tsx';
import { S } from './strings.ts';

const T = S.serverCertificate;
const DAY_MS = 86_400_000;
const FILE_BYTES_MAX = 48_000;
const STATE_KINDS = { valid: 'good', expired: 'bad', not_yet_valid: 'warn' } as const;

interface Link {
  readonly subject: string;
  readonly fingerprint_sha256: string;
  readonly not_after: string;
}

interface CertificateFacts extends Link {
  readonly issuer: string;
  readonly serial: string;
  readonly not_before: string;
  readonly names: readonly string[];
  readonly covers_host: boolean;
  readonly covers_tunnels: boolean;
  readonly key_type: string;
  readonly state: keyof typeof STATE_KINDS;
  readonly chain: readonly Link[];
  readonly warnings: readonly string[];
}

interface Attempt {
  readonly at: string;
  readonly problem?: string;
}

interface Served extends CertificateFacts {
  readonly index: number;
  readonly cert_file: string;
  readonly key_file: string;
  readonly source: keyof typeof T.sources;
  readonly renews_at?: string;
  readonly renewal_obstacle?: string;
  readonly last_renewal?: Attempt;
  readonly etag: string;
}

interface List {
  readonly host: string;
  readonly items: readonly Served[];
  readonly last_reload?: Attempt;
}

interface Checked {
  readonly is_usable: boolean;
  readonly problems: readonly string[];
  readonly facts?: CertificateFacts;
}

type Upload = Readonly<Record<'certificate' | 'private_key', string>>;

export const ServerCertificatePage = ({ mayWrite }: { mayWrite: boolean }) => {
  const live = useLive<List>('/server-certificates');
  const [replacing, setReplacing] = useState<Served>();
  const [done, setDone] = useState<string>();
  return (
    <LivePage title={S.nav['server-certificate']} live={live}>
      {({ host, items, last_reload }) => (
        <>
          {done && <Notice kind="good">{done}</Notice>}
          {last_reload?.problem && (
            <Notice kind="bad">
              {T.notTaken(last_reload.problem)} <Time of={last_reload.at} />
            </Notice>
          )}
          {items.map((served) => (
            <section class="card" key={served.index}>
              <div class="head">
                <h2>{served.cert_file}</h2>
                {mayWrite && (
                  <button type="button" onClick={() => setReplacing(served)}>
                    {T.replace}
                  </button>
                )}
              </div>
              <FactsOf facts={served} host={host} />
              <SourceOf served={served} />
            </section>
          ))}
          {replacing && (
            <Replace
              served={replacing}
              host={host}
              onClose={() => setReplacing(undefined)}
              onDone={() => {
                setReplacing(undefined);
                setDone(T.replaced);
                live.refresh();
              }}
            />
          )}
        </>
      )}
    </LivePage>
  );
};

const FactsOf = ({ facts, host }: { facts: CertificateFacts; host: string }) => {
  const days = Math.floor((Date.parse(facts.not_after) - Date.now()) / DAY_MS);
  return (
    <>
      <p>
        <span class={`chip ${STATE_KINDS[facts.state]}`}>{T.states[facts.state]}</span>
        <span class={`chip ${facts.covers_host ? 'good' : 'warn'}`}>{T.covers(host, facts.covers_host)}</span>
        <span class={`chip ${facts.covers_tunnels ? 'good' : 'warn'}`}>
          {T.covers(`*.t.${host}`, facts.covers_tunnels)}
        </span>
      </p>
      {facts.warnings.map((warning) => (
        <Notice key={warning}>{T.warning(warning)}</Notice>
      ))}
      <Facts
        of={{
          [T.ends]: (
            <>
              {T.inDays(days)} <span class="quiet">(</span>
              <Time of={facts.not_after} />
              <span class="quiet">)</span>
            </>
          ),
          [T.from]: <Time of={facts.not_before} />,
          [T.names]: facts.names.join(', '),
          [T.issuer]: facts.issuer,
          [T.key]: facts.key_type,
          [T.fingerprint]: <span class="mono">{facts.fingerprint_sha256}</span>,
          [T.serial]: <span class="mono">{facts.serial}</span>,
          [T.chain]: facts.chain.map((link) => (
            <div key={link.fingerprint_sha256}>
              {link.subject} <span class="quiet">{T.until}</span> <Time of={link.not_after} />
            </div>
          )),
        }}
      />
    </>
  );
};

const SourceOf = ({ served }: { served: Served }) => (
  <>
    <p class="quiet">
      {T.sources[served.source]}{' '}
      {served.renews_at && (
        <>
          {T.renewsFrom} <Time of={served.renews_at} />
        </>
      )}
      {served.renewal_obstacle && T.notRenewed(served.renewal_obstacle)}
    </p>
    {served.last_renewal?.problem && (
      <Notice kind="bad">
        {T.renewalFailed(served.last_renewal.problem)} <Time of={served.last_renewal.at} />
      </Notice>
    )}
  </>
);

/** Text that is pasted, or comes from a file. */
const PemField = ({ name, label, hint }: { name: keyof Upload; label: string; hint: string }) => {
  const area = useRef<HTMLTextAreaElement>(null);
  const take = async (file: File | undefined) => {
    if (file && file.size <= FILE_BYTES_MAX && area.current) area.current.value = await file.text();
  };
  return (
    <>
      <label>
        {label}
        <span class="hint">{hint}</span>
        <textarea
          ref={area}
          name={name}
          class="mono"
          rows={5}
          required
          maxLength={FILE_BYTES_MAX}
          spellcheck={false}
          autocomplete="off"
        />
      </label>
      <label>
        <span class="hint">{T.fromFile(label)}</span>
        <input
          type="file"
          accept=".pem,.crt,.cer,.key"
          onChange={({ currentTarget }) => void take(currentTarget.files?.[0])}
        />
      </label>
    </>
  );
};

const Replace = ({
  served,
  host,
  onClose,
  onDone,
}: {
  served: Served;
  host: string;
  onClose: () => void;
  onDone: () => void;
}) => {
  const [upload, setUpload] = useState<Upload>();
  const [checked, setChecked] = useState<Checked>();
  const check = async (form: FormData) => {
    const body = { certificate: form.get('certificate'), private_key: form.get('private_key') } as Upload;
    setChecked(await ask<Checked>('POST', '/server-certificates/check', { body }));
    setUpload(body);
  };
  const replace = async () => {
    await ask('PUT', `/server-certificates/${served.index}`, { body: upload, etag: served.etag });
    onDone();
  };
  if (upload && checked?.is_usable && checked.facts)
    return (
      <Dialog key="confirm" title={T.confirm} onClose={onClose}>
        <FactsOf facts={checked.facts} host={host} />
        <p>{T.consequence(served.cert_file)}</p>
        {checked.facts.issuer !== served.issuer && <Notice>{T.otherIssuer}</Notice>}
        <ActionForm submit={T.replace} isDanger onCancel={onClose} onSubmit={replace} />
      </Dialog>
    );
  return (
    <Dialog key="form" title={T.title} onClose={onClose}>
      <ActionForm submit={T.check} onCancel={onClose} onSubmit={check}>
        <PemField name="certificate" label={T.certificate} hint={T.certificateHint} />
        <PemField name="private_key" label={T.privateKey} hint={T.privateKeyHint} />
        {checked?.problems.map((problem) => (
          <Notice kind="bad" key={problem}>
            {T.notUsable(problem)}
          </Notice>
        ))}
      </ActionForm>
    </Dialog>
  );
};
