/** The operator's rules: what is in force, a draft, and what the draft would do. */
import { useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import { Confirm, LivePage, Notice } from './parts.tsx';
import { type Report, ReportView } from './policy-report.tsx';
import { Copyable } from './shown-once.tsx';
import { S } from './strings.ts';

interface Policy {
  readonly require_authentication: boolean;
  readonly published_protocols: readonly string[];
  readonly tls_min_version: string | null;
  readonly post_quantum: string;
  readonly trusted_ips: readonly string[];
  readonly geoip: readonly string[];
  readonly allow_any: boolean;
}

interface View {
  readonly policy: Policy;
  readonly has_geoip_database: boolean;
  readonly overridden: readonly string[];
  readonly unloaded: readonly string[];
  readonly write_problem?: string;
  readonly etag: string;
}

const PROTOCOLS = ['http', 'tls', 'tcp'];

const linesFrom = (form: FormData, name: string): string[] =>
  String(form.get(name) ?? '')
    .split(/[\s,]+/)
    .filter(Boolean);

/** A field that cannot be changed is not in the form: it stays as it is. */
const draftFrom = (form: FormData, { policy, overridden }: View): Policy => {
  const read: Policy = {
    require_authentication: form.has('require_authentication'),
    published_protocols: form.getAll('published_protocols').map(String),
    tls_min_version: String(form.get('tls_min_version') || '') || null,
    post_quantum: String(form.get('post_quantum')),
    trusted_ips: linesFrom(form, 'trusted_ips'),
    geoip: linesFrom(form, 'geoip').map((country) => country.toUpperCase()),
    allow_any: form.has('allow_any'),
  };
  const fixed = Object.entries(policy).filter(([name]) => overridden.includes(`policy.${name}`));
  return { ...read, ...Object.fromEntries(fixed) };
};

export const PolicyPage = ({ mayWrite }: { mayWrite: boolean }) => {
  const live = useLive<View>('/policy');
  const [tried, setTried] = useState<{ draft: Policy; etag: string; report: Report }>();
  const [isSaving, setSaving] = useState(false);
  const [isSaved, setSaved] = useState(false);
  // A new one when a draft was saved or dropped: the form begins with what is in force then.
  const [edition, setEdition] = useState(0);
  const begin = () => {
    setTried(undefined);
    setEdition(edition + 1);
  };
  const save = async () => {
    if (!tried) return;
    await ask('POST', '/policy', { body: tried.draft, etag: tried.etag });
    live.refresh();
    setSaved(true);
    begin();
  };
  return (
    <LivePage title={S.nav.policy} live={live}>
      {(view) => (
        <>
          <p>{S.policy.intro}</p>
          {isSaved && <Notice kind="good">{S.policy.saved}</Notice>}
          {view.write_problem && <Notice>{S.policy.readOnly(view.write_problem)}</Notice>}
          {view.unloaded.length > 0 && <Notice>{S.policy.unloaded(view.unloaded.join(', '))}</Notice>}
          <DraftForm
            key={`${edition} ${JSON.stringify(view.policy)}`}
            view={view}
            onTry={async (draft) => {
              setSaved(false);
              setTried(undefined);
              const report = await ask<Report>('POST', '/policy/dry-run', { body: draft });
              setTried({ draft, etag: view.etag, report });
            }}
            onChange={() => setTried(undefined)}
          />
          {tried && (
            <>
              <ReportView report={tried.report} />
              <Copyable label={S.policy.yaml} text={tried.report.yaml} />
              <div class="row end">
                <button type="button" onClick={begin}>
                  {S.policy.reset}
                </button>
                {mayWrite && !view.write_problem && tried.report.changes.length > 0 && (
                  <button type="button" class="main" onClick={() => setSaving(true)}>
                    {S.policy.save}
                  </button>
                )}
              </div>
            </>
          )}
          {tried && isSaving && (
            <Confirm
              title={S.policy.confirm}
              consequence={S.policy.consequence(
                tried.report.records?.cut_off.count ?? 0,
                tried.report.tunnels.length,
                tried.report.connections.count,
              )}
              submit={S.policy.save}
              onClose={() => setSaving(false)}
              onConfirm={save}
            />
          )}
        </>
      )}
    </LivePage>
  );
};

const DraftForm = ({
  view,
  onTry,
  onChange,
}: {
  view: View;
  onTry: (draft: Policy) => Promise<void>;
  onChange: () => void;
}) => {
  const [fault, setFault] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const run = async (form: HTMLFormElement) => {
    setBusy(true);
    setFault(undefined);
    await onTry(draftFrom(new FormData(form), view)).catch((thrown: unknown) => setFault(sentenceOf(thrown)));
    setBusy(false);
  };
  return (
    <form
      class="card"
      onInput={onChange}
      onSubmit={(event) => {
        event.preventDefault();
        void run(event.currentTarget);
      }}
    >
      <Settings view={view} />
      {fault && <Notice kind="bad">{fault}</Notice>}
      <div class="row end">
        <button type="submit" class="main" disabled={isBusy}>
          {isBusy ? S.policy.trying : S.policy.tryIt}
        </button>
      </div>
    </form>
  );
};

type SettingName = keyof typeof S.policy.settings;

const Settings = ({ view: { policy, overridden, has_geoip_database } }: { view: View }) => {
  const isFixed = (name: SettingName) => overridden.includes(`policy.${name}`);
  const labelOf = (name: SettingName, hint?: string) => (
    <>
      {S.policy.settings[name]}
      {hint && <span class="hint">{hint}</span>}
      {isFixed(name) && <span class="hint">{S.policy.hints.overridden}</span>}
    </>
  );
  const check = (name: 'require_authentication' | 'allow_any') => (
    <label class="check">
      <input type="checkbox" name={name} defaultChecked={policy[name]} disabled={isFixed(name)} />
      <span>{labelOf(name)}</span>
    </label>
  );
  const lines = (name: 'trusted_ips' | 'geoip', hint: string, isDisabled = false) => (
    <label>
      {labelOf(name, hint)}
      <textarea
        name={name}
        class="mono"
        spellcheck={false}
        disabled={isFixed(name) || isDisabled}
        defaultValue={policy[name].join('\n')}
      />
    </label>
  );
  const choice = (name: 'tls_min_version' | 'post_quantum', options: Readonly<Record<string, string>>) => (
    <label>
      {labelOf(name, S.policy.hints.restart)}
      <select name={name} disabled={isFixed(name)}>
        {Object.entries(options).map(([value, text]) => (
          <option key={value} value={value} selected={value === (policy[name] ?? '')}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <div class="policy">
      {lines('trusted_ips', S.policy.hints.trusted_ips)}
      {lines(
        'geoip',
        has_geoip_database ? S.policy.hints.geoip : S.policy.hints.noGeoip,
        !has_geoip_database,
      )}
      {choice('tls_min_version', S.policy.tlsVersions)}
      {choice('post_quantum', S.policy.postQuantum)}
      <fieldset disabled={isFixed('published_protocols')}>
        <legend>{labelOf('published_protocols')}</legend>
        {PROTOCOLS.map((protocol) => (
          <label class="check" key={protocol}>
            <input
              type="checkbox"
              name="published_protocols"
              value={protocol}
              defaultChecked={policy.published_protocols.includes(protocol)}
            />
            {protocol}
          </label>
        ))}
      </fieldset>
      <div>
        {check('require_authentication')}
        {check('allow_any')}
      </div>
    </div>
  );
};
