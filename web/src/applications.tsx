/** Applications: servers that sign tokens of their own and hand them to others. */
import { CredentialsPage, type Family } from './credentials.tsx';
import { MakeForm } from './make-form.tsx';
import type { PageProps } from './pages.tsx';
import { Copyable } from './shown-once.tsx';
import { S } from './strings.ts';

const APPLICATIONS: Family = {
  path: '/applications',
  title: S.nav.applications,
  empty: S.applications.empty,
  canRotate: true,
  makers: [
    {
      label: S.applications.create,
      form: (needs) => <MakeForm path="/applications" submit={S.credentials.create} {...needs} />,
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

export const ApplicationsPage = ({ mayWrite }: PageProps) => (
  <CredentialsPage family={APPLICATIONS} mayWrite={mayWrite} />
);
