/** Tokens: what an agent or a program proves itself by. */
import { CredentialsPage, type Family, type Made } from './credentials.tsx';
import { useLive } from './live.ts';
import { MakeForm } from './make-form.tsx';
import type { PageProps } from './pages.tsx';
import { Copyable } from './shown-once.tsx';
import { S } from './strings.ts';

/** The lines that make a token work at once. */
const TokenSecrets = ({ made }: { made: Made }) => {
  const overview = useLive<{ engine: string }>('/overview');
  const engine = overview.value?.engine ?? '';
  // From a file: whoever may list processes reads arguments.
  const file = `(umask 077; cat > agent.token) <<'END'\n${made.token}\nEND`;
  const cli = `${file}
rstream context create engine --engine ${engine} --token-file agent.token --engine-tls-ca-file ca.pem --default --no-api-url
rstream forward 8080`;
  const builtIn = `${file}
rstream-engine-ce forward 8080 --engine ${engine} --token-file agent.token --ca-file ca.pem`;
  return (
    <>
      <Copyable label={S.tokens.token} text={made.token ?? ''} />
      {engine && <Copyable label={S.tokens.cli} hint={S.tokens.cliHint} text={cli} />}
      {engine && <Copyable label={S.tokens.builtIn} hint={S.tokens.builtInHint} text={builtIn} />}
    </>
  );
};

const TOKENS: Family = {
  path: '/tokens',
  title: S.nav.tokens,
  empty: S.tokens.empty,
  canRotate: true,
  makers: [
    {
      label: S.tokens.create,
      form: (needs) => (
        <MakeForm
          path="/tokens"
          submit={S.credentials.create}
          offered={Object.keys(S.credentials.permission)}
          {...needs}
        />
      ),
    },
  ],
  secrets: (made) => <TokenSecrets made={made} />,
  madeTitle: S.tokens.made,
};

export const TokensPage = ({ mayWrite }: PageProps) => (
  <CredentialsPage family={TOKENS} mayWrite={mayWrite} />
);
