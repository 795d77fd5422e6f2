/**
 * The admin page: finds out who is there, and shows the page that the address names.
 *
 * Invariant: a one-time link leaves the address before anything else happens, so that it is in no history, bookmark or screenshot.
 */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, type Me, whenSessionEnds } from './api.ts';
import { AuditPage } from './audit.tsx';
import { ApplicationsPage, CertificatesPage, TokensPage } from './credentials.tsx';
import { AgentsPage, OverviewPage, TunnelsPage } from './live-pages.tsx';
import { FirstLogin, Login } from './login.tsx';
import { PolicyPage } from './policy.tsx';
import { RecordsPage } from './records.tsx';
import { SettingsPage } from './settings.tsx';
import { S } from './strings.ts';

const PAGES = [
  'overview',
  'tunnels',
  'agents',
  'tokens',
  'applications',
  'certificates',
  'policy',
  'records',
  'audit',
  'settings',
] as const;
type PageName = (typeof PAGES)[number];

const firstLink = /^#link=(\w+)$/.exec(location.hash)?.[1];
if (firstLink) history.replaceState(null, '', '/');

const pageFromAddress = (): PageName =>
  PAGES.find((name) => location.hash.split('?', 1)[0] === `#/${name}`) ?? 'overview';

const App = () => {
  // Undefined until it is known, null when nobody is logged in.
  const [me, setMe] = useState<Me | null>();
  const [hasEnded, setEnded] = useState(false);
  const [link, setLink] = useState(firstLink);
  const load = () => ask<Me>('GET', '/session').then(setMe, () => setMe(null));
  useEffect(() => {
    whenSessionEnds(() =>
      setMe((before) => {
        if (before) setEnded(true);
        return null;
      }),
    );
    void load();
  }, []);
  const enter = (next: Me) => {
    setLink(undefined);
    setEnded(false);
    setMe(next);
  };
  if (link) return <FirstLogin link={link} onLogin={enter} />;
  if (me === undefined) return null;
  if (me === null) return <Login hasEnded={hasEnded} onLogin={enter} />;
  const logOut = () => void ask('DELETE', '/session').finally(() => setMe(null));
  return <Frame me={me} onLogout={logOut} onMe={() => void load()} />;
};

const Frame = ({ me, onLogout, onMe }: { me: Me; onLogout: () => void; onMe: () => void }) => {
  const [page, setPage] = useState(pageFromAddress);
  const main = useRef<HTMLElement>(null);
  const mayWrite = me.admin.role === 'admin';
  useEffect(() => {
    const follow = () => {
      setPage(pageFromAddress());
      main.current?.focus();
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => {
    document.title = `${S.nav[page]} · ${S.title}`;
  }, [page]);
  return (
    <div class="frame">
      <nav aria-label={S.nav.label}>
        <span class="brand">{S.title}</span>
        {PAGES.map((name) => (
          <a key={name} href={`#/${name}`} aria-current={name === page ? 'page' : undefined}>
            {S.nav[name]}
          </a>
        ))}
        <div class="who">
          {me.admin.name}{' '}
          <button type="button" class="small" onClick={onLogout}>
            {S.logout}
          </button>
        </div>
      </nav>
      <main ref={main} tabIndex={-1}>
        {!mayWrite && <p class="quiet">{S.viewerNote}</p>}
        {page === 'overview' && <OverviewPage />}
        {page === 'tunnels' && <TunnelsPage mayWrite={mayWrite} />}
        {page === 'agents' && <AgentsPage mayWrite={mayWrite} />}
        {page === 'tokens' && <TokensPage mayWrite={mayWrite} />}
        {page === 'applications' && <ApplicationsPage mayWrite={mayWrite} />}
        {page === 'certificates' && <CertificatesPage mayWrite={mayWrite} />}
        {page === 'policy' && <PolicyPage mayWrite={mayWrite} />}
        {page === 'records' && <RecordsPage />}
        {page === 'audit' && <AuditPage />}
        {page === 'settings' && <SettingsPage me={me} mayWrite={mayWrite} onMe={onMe} />}
      </main>
    </div>
  );
};

render(<App />, document.getElementById('app')!);
