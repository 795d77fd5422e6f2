/**
 * The admin page: finds out who is there, and shows the page that the address names.
 *
 * Invariant: a one-time link leaves the address before anything else happens, so that it is in no history, bookmark or screenshot.
 */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ask, type Me, whenSessionEnds } from './api.ts';
import { LinkProvider, useLinkToEngine } from './link.ts';
import { FirstLogin, Login } from './login.tsx';
import { PAGE_NAMES, pageOf, placeFrom, titleOf } from './pages.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';

const firstLink = /^#link=(\w+)$/.exec(location.hash)?.[1];
if (firstLink) history.replaceState(null, '', '/');

const placeNow = () => placeFrom(location.hash);

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
  return <Frame me={me} onLogout={logOut} onMe={() => void load()} tellMe={setMe} />;
};

interface FrameProps {
  readonly me: Me;
  readonly onLogout: () => void;
  /** Something about the own login was changed here. */
  readonly onMe: () => void;
  /** The engine has said who this is. */
  readonly tellMe: (me: Me) => void;
}

const Frame = ({ me, onLogout, onMe, tellMe }: FrameProps) => {
  const link = useLinkToEngine(tellMe);
  const [{ name: page, rest }, setPlace] = useState(placeNow);
  const main = useRef<HTMLElement>(null);
  const current = useRef<HTMLAnchorElement>(null);
  const Shown = pageOf(page);
  const mayWrite = me.admin.role === 'admin';
  useEffect(() => {
    const follow = () => {
      setPlace(placeNow());
      main.current?.focus();
      scrollTo(0, 0);
    };
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  useEffect(() => {
    document.title = `${titleOf(page)} · ${S.title}`;
    // On a phone the names of the pages are wider than the window.
    current.current?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [page]);
  return (
    <LinkProvider value={link}>
      <div class="frame">
        <button type="button" class="skip" onClick={() => main.current?.focus()}>
          {S.skip}
        </button>
        <nav aria-label={S.nav.label}>
          <span class="brand">{S.title}</span>
          {PAGE_NAMES.map((name) => (
            <a
              key={name}
              ref={name === page ? current : null}
              href={addressOfPage(name)}
              aria-current={name === page ? 'page' : undefined}
            >
              {titleOf(name)}
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
          <Shown key={page} me={me} mayWrite={mayWrite} rest={rest} onMe={onMe} />
        </main>
        {link.staleSince !== undefined && (
          <div class="banner" role="status">
            {S.stale(new Date(link.staleSince).toLocaleTimeString())}
          </div>
        )}
      </div>
    </LinkProvider>
  );
};

render(<App />, document.getElementById('app')!);
