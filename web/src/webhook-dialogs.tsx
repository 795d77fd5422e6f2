/** What is asked before something is done with a webhook; each names what follows. */
import { ask } from './api.ts';
import { Choice } from './fields.tsx';
import { ActionForm, Confirm, Dialog } from './parts.tsx';
import { addressOfPage } from './place.ts';
import { S } from './strings.ts';
import type { Delivery } from './webhook-deliveries.tsx';
import type { Webhook, WebhookWithSecret } from './webhook-parts.tsx';

const T = S.webhooks;
const TEST = 'webhook.test';

interface DialogProps {
  readonly of: Webhook;
  readonly path: string;
  readonly onClose: () => void;
}

export const Disabling = ({
  of: { name, waiting_count },
  onConfirm,
  onClose,
}: Omit<DialogProps, 'path'> & { onConfirm: () => Promise<unknown> }) => (
  <Confirm
    title={T.confirmDisable(name)}
    consequence={T.disableConsequence(waiting_count)}
    submit={T.disable}
    onClose={onClose}
    onConfirm={onConfirm}
  />
);

/** Leads back to the list, as there is nothing here any more. */
export const Removal = ({ of: { name, waiting_count }, path, onClose }: DialogProps) => (
  <Confirm
    title={T.confirmRemove(name)}
    consequence={T.removeConsequence(waiting_count)}
    submit={T.remove}
    onClose={onClose}
    onConfirm={async () => {
      await ask('DELETE', path);
      location.hash = addressOfPage('webhooks');
    }}
  />
);

export const Rotation = ({
  of: { name },
  path,
  onClose,
  onMade,
}: DialogProps & { onMade: (made: WebhookWithSecret) => void }) => (
  <Dialog title={T.confirmRotate(name)} onClose={onClose}>
    <ActionForm
      submit={T.rotate}
      onCancel={onClose}
      onSubmit={async (form) => {
        const body = { grace_seconds: Number(form.get('grace')) };
        onMade(await ask<WebhookWithSecret>('POST', `${path}/rotate`, { body }));
      }}
    >
      <p>{T.rotates}</p>
      <Choice label={T.grace} name="grace" options={T.graces} />
    </ActionForm>
  </Dialog>
);

const TYPES = Object.fromEntries([
  [TEST, T.testEvent],
  ...Object.entries(T.event).map(([type, words]) => [type, `${words} (${type})`]),
]);

export const Test = ({
  of: { name },
  path,
  onClose,
  onTested,
}: DialogProps & { onTested: (delivery: Delivery) => void }) => (
  <Dialog title={T.testTitle(name)} onClose={onClose}>
    <ActionForm
      submit={T.test}
      onCancel={onClose}
      onSubmit={async (form) =>
        onTested(await ask<Delivery>('POST', `${path}/test`, { body: { type: form.get('type') } }))
      }
    >
      <p>{T.testHint}</p>
      <Choice label={T.testType} name="type" options={TYPES} />
    </ActionForm>
  </Dialog>
);
