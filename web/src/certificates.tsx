/** Client certificates: issued by the local authority, or added by PEM. */
import { CredentialsPage, type Family } from './credentials.tsx';
import { Field } from './fields.tsx';
import { MakeForm } from './make-form.tsx';
import type { PageProps } from './pages.tsx';
import { Copyable, Qr } from './shown-once.tsx';
import { S } from './strings.ts';

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
        <Qr address={`${location.origin}${download_path}`} label={S.certificates.qr} />
        <Copyable label={S.certificates.password} text={password ?? ''} />
      </>
    ),
  madeTitle: S.certificates.made,
};

export const CertificatesPage = ({ mayWrite }: PageProps) => (
  <CredentialsPage family={CERTIFICATES} mayWrite={mayWrite} />
);
