/** Settings: the own login, who else may log in, where people are logged in, and a backup. */
import { Admins } from './admins.tsx';
import type { Admin, Page } from './api.ts';
import { Backup } from './backup.tsx';
import { useLive } from './live.ts';
import { OwnLogin } from './own-login.tsx';
import type { PageProps } from './pages.tsx';
import { LivePage } from './parts.tsx';
import { type Session, Sessions } from './sessions.tsx';
import { S } from './strings.ts';

export const SettingsPage = ({ me, mayWrite, onMe }: PageProps) => {
  const admins = useLive<Page<Admin>>('/admins');
  const sessions = useLive<Page<Session>>('/sessions');
  const refresh = () => {
    admins.refresh();
    sessions.refresh();
  };
  return (
    <LivePage title={S.nav.settings} live={admins}>
      {(page) => (
        <>
          <OwnLogin
            me={me}
            onChanged={() => {
              onMe();
              refresh();
            }}
          />
          <Admins admins={page.items} ownId={me.admin.id} mayWrite={mayWrite} onChanged={refresh} />
          <Sessions sessions={sessions.value?.items ?? []} onChanged={refresh} />
          {mayWrite && <Backup />}
        </>
      )}
    </LivePage>
  );
};
