/** Webhooks: who is told of what, and whether it arrives. */
import { useState } from 'preact/hooks';
import { ask, type Page } from './api.ts';
import { useListPath } from './list.tsx';
import { useLive } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Dialog, LivePage, Table, Time } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';
import { WebhookPage } from './webhook.tsx';
import {
  Configured,
  SecretShown,
  State,
  Told,
  type Webhook,
  WebhookForm,
  type WebhookWithSecret,
} from './webhook-parts.tsx';

const T = S.webhooks;

export const WebhooksPage = (props: PageProps) =>
  props.rest ? <WebhookPage {...props} /> : <WebhookList {...props} />;

const rowFrom = (webhook: Webhook) => ({
  key: webhook.id,
  cells: [
    <>
      <a href={addressOfPage('webhooks', webhook.id)}>{webhook.name}</a> <Configured of={webhook} />
    </>,
    <State key="state" of={webhook} />,
    <Told key="told" of={webhook.events} />,
    webhook.waiting_count,
    <Time key="since" of={webhook.created_at} />,
  ],
});

const WebhookList = ({ mayWrite }: PageProps) => {
  const list = useListPath('/webhooks');
  const live = useLive<Page<Webhook>>(list.path);
  const [isMaking, setMaking] = useState(false);
  const [made, setMade] = useState<WebhookWithSecret>();
  return (
    <LivePage
      title={S.nav.webhooks}
      live={live}
      actions={
        <>
          {mayWrite && (
            <button type="button" class="main" onClick={() => setMaking(true)}>
              {T.create}
            </button>
          )}
          {list.box}
        </>
      }
    >
      {(page) => (
        <>
          <Table
            label={S.nav.webhooks}
            columns={T.columns}
            rows={page.items.map(rowFrom)}
            empty={list.filter ? S.credentials.none : T.empty}
          />
          {list.more(page)}
          {isMaking && (
            <Dialog title={T.create} onClose={() => setMaking(false)}>
              <WebhookForm
                submit={T.create}
                onClose={() => setMaking(false)}
                onOrder={async (body) => {
                  setMade(await ask<WebhookWithSecret>('POST', '/webhooks', { body }));
                  setMaking(false);
                  live.refresh();
                }}
              />
            </Dialog>
          )}
          {made && <SecretShown of={made} onClose={() => setMade(undefined)} />}
        </>
      )}
    </LivePage>
  );
};
