/** One webhook: what it is, what can be done with it, and what became of each delivery. */
import { useState } from 'preact/hooks';
import { ask, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import type { PageProps } from './pages.tsx';
import { Dialog, Facts, LivePage, Notice, Time } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';
import { Deliveries, type Delivery, outcomeOf } from './webhook-deliveries.tsx';
import { Disabling, Removal, Rotation, Test } from './webhook-dialogs.tsx';
import {
  Configured,
  Health,
  SecretShown,
  State,
  Told,
  type Webhook,
  WebhookForm,
  type WebhookWithSecret,
} from './webhook-parts.tsx';

const T = S.webhooks;

/** A dialog, and the webhook as it was when it was opened: what others change meanwhile is not overwritten. */
interface Asking {
  readonly what: 'edit' | 'disable' | 'rotate' | 'remove' | 'test';
  readonly of: Webhook;
}

const factsOf = (webhook: Webhook, mayWrite: boolean) => ({
  [T.state]: <State of={webhook} />,
  [T.url]: (
    <>
      <code>{webhook.url}</code> {!mayWrite && <span class="quiet">{T.hostOnly}</span>}
    </>
  ),
  [T.isTold]: <Told of={webhook.events} />,
  [T.waiting]: T.waits(webhook.waiting_count),
  ...(webhook.failing_since !== undefined && { [T.failingSince]: <Time of={webhook.failing_since} /> }),
  ...(webhook.old_secret_until !== undefined && { [T.oldSecret]: <Time of={webhook.old_secret_until} /> }),
  [T.since]: <Time of={webhook.created_at} />,
});

const Actions = ({
  of: webhook,
  onAsk,
  onEnable,
}: {
  of: Webhook;
  onAsk: (asking: Asking) => void;
  onEnable: () => void;
}) => {
  const opens = (what: Asking['what'], text: string, look = '') => (
    <button type="button" class={look} onClick={() => onAsk({ what, of: webhook })}>
      {text}
    </button>
  );
  const isOwn = webhook.source === 'admin';
  return (
    <p class="row">
      {opens('test', T.test, 'main')}
      {isOwn && opens('edit', T.edit)}
      {webhook.state === 'enabled' ? (
        opens('disable', T.disable)
      ) : (
        <button type="button" onClick={onEnable}>
          {T.enable}
        </button>
      )}
      {isOwn && opens('rotate', T.rotate)}
      {isOwn && opens('remove', T.remove, 'danger')}
    </p>
  );
};

export const WebhookPage = ({ mayWrite, rest: id }: PageProps) => {
  const path = `/webhooks/${encodeURIComponent(id)}`;
  const live = useLive<Webhook>(path);
  const [asking, setAsking] = useState<Asking>();
  const [made, setMade] = useState<WebhookWithSecret>();
  const [tested, setTested] = useState<Delivery>();
  const [fault, setFault] = useState<string>();
  const close = () => setAsking(undefined);
  const change = (before: Webhook, body: object) =>
    ask<Webhook>('PATCH', path, { body, etag: before.etag }).then(live.refresh);
  return (
    <>
      <p>
        <a href={addressOfPage('webhooks')}>{T.back}</a>
      </p>
      <LivePage title={live.value?.name ?? S.nav.webhooks} live={live}>
        {(webhook) => (
          <>
            <Health of={webhook} />
            {fault && <Notice kind="bad">{fault}</Notice>}
            {tested && (
              <Notice kind={tested.state === 'delivered' ? 'good' : 'bad'}>{outcomeOf(tested)}</Notice>
            )}
            <section class="card">
              <h2>
                {T.facts} <Configured of={webhook} />
              </h2>
              <Facts of={factsOf(webhook, mayWrite)} />
              {mayWrite && (
                <Actions
                  of={webhook}
                  onAsk={setAsking}
                  onEnable={() => {
                    setFault(undefined);
                    change(webhook, { enabled: true }).catch((thrown) => setFault(sentenceOf(thrown)));
                  }}
                />
              )}
            </section>
            <Deliveries webhookPath={path} mayWrite={mayWrite} turn={tested?.id} />
            {asking?.what === 'edit' && (
              <Dialog title={T.editTitle(asking.of.name)} onClose={close}>
                <WebhookForm
                  before={asking.of}
                  submit={T.save}
                  onClose={close}
                  onOrder={(order) => change(asking.of, order).then(close)}
                />
              </Dialog>
            )}
            {asking?.what === 'disable' && (
              <Disabling
                of={asking.of}
                onClose={close}
                onConfirm={() => change(asking.of, { enabled: false })}
              />
            )}
            {asking?.what === 'rotate' && (
              <Rotation
                of={asking.of}
                path={path}
                onClose={close}
                onMade={(answer) => {
                  close();
                  setMade(answer);
                  live.refresh();
                }}
              />
            )}
            {asking?.what === 'remove' && <Removal of={asking.of} path={path} onClose={close} />}
            {asking?.what === 'test' && (
              <Test
                of={asking.of}
                path={path}
                onClose={close}
                onTested={(delivery) => {
                  close();
                  setTested(delivery);
                }}
              />
            )}
            {made && <SecretShown of={made} onClose={() => setMade(undefined)} />}
          </>
        )}
      </LivePage>
    </>
  );
};
