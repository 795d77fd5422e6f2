/**
 * Puts webhooks together: their file, their way out, and what they are told of.
 *
 * Flow: engine.ts makes one, hands failed records to it, has it follow agents and tunnels, starts and closes it; admin-door.ts takes its desk.
 * Invariant: without a webhook nothing is opened, built or asked. Credentials are followed in the audit log, where also the command line, which is
 * another process, writes what it did.
 * Limits: webhookAuditMs.
 */
import { existsSync } from 'node:fs';
import { type AgentView, clientFromAgent, dtoFromTunnel } from './api/dto.ts';
import { type Change, changeEventFrom } from './api/watch-events.ts';
import { isoFrom } from './base/instant.ts';
import { LIMITS } from './base/limits.ts';
import type { Logger } from './base/log.ts';
import type { TrafficRecord } from './base/record.ts';
import { type Clock, every, type Timer } from './base/time.ts';
import type { WebhookEventType } from './base/webhook.ts';
import type { ExpiringCertificate } from './certificate-upkeep.ts';
import type { Config } from './config/schema.ts';
import { failedStreamFrom } from './observe/stored-record.ts';
import { createWebhookDesk } from './observe/webhook-desk.ts';
import { createWebhookSender } from './observe/webhook-request.ts';
import { createWebhooks, type Webhooks } from './observe/webhooks.ts';
import type { AuditEntry, AuditLog } from './store/audit.ts';
import type { AuditActors } from './store/audit-actor.ts';
import { openWebhookStore, type Webhook } from './store/webhooks.ts';
import type { TunnelRegistry } from './tunnel/registry.ts';
import type { Tunnel } from './tunnel/tunnel.ts';
import { VERSION } from './version.ts';

export interface WebhookFeedNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Pick<AuditLog, 'record' | 'list'>;
  readonly actors: Pick<AuditActors, 'complete'>;
  countryOf(address: string): string | undefined;
}

/** What agents and tunnels are followed by. */
export interface Inventory {
  readonly registry: Pick<TunnelRegistry, 'onOpened' | 'onClosed'>;
  findAgent(id: string): AgentView | undefined;
  onAgent(listener: (event: 'opened' | 'closed', agent: AgentView) => void): void;
}

/** Throws STORE_UNAVAILABLE or STORE_TOO_NEW where there are webhooks and their file cannot be used. */
export const createWebhookFeed = (
  needs: WebhookFeedNeeds,
  { webhooks: settings }: Pick<Config, 'webhooks'>,
) => {
  const { clock, audit, actors } = needs;
  const { path, endpoints = [], allow_private: allowsPrivate } = settings;
  const webhooks = createWebhooks(
    {
      ...needs,
      send: createWebhookSender({ clock }, { allowsPrivate }),
      open: () => openWebhookStore(path),
      // The engine's own deed, whoever it was that woke it.
      onGivenUp: ({ id, name }) =>
        audit.record({ ...ENGINE, action: 'webhook.disable', object: id, name, result: 'ok' }),
    },
    { userAgent: `rstream-engine-ce/${VERSION}` },
  );
  const onCreated = ({ id, name }: Webhook) =>
    audit.record(actors.complete({ action: 'webhook.create', object: id, name, result: 'ok' }));
  const desk = createWebhookDesk({ clock, webhooks, onCreated }, { allowsPrivate });
  if (endpoints.length > 0 || existsSync(path)) {
    webhooks.load();
    desk.adopt(endpoints);
  }
  const credentials = createCredentialFollower(needs, webhooks);
  let following: Timer | undefined;

  return {
    desk,
    get counts() {
      return webhooks.counts;
    },

    /** Tells of what failed by no fault of who asked: refusals of strangers are no news. */
    tellFailed(record: TrafficRecord): void {
      const isNews = record.error && record.error.row.source !== 'downstream';
      if (!isNews || !webhooks.wants('stream.failed')) return;
      const object = failedStreamFrom(record, clock.now(), needs.countryOf);
      webhooks.emit({ type: 'stream.failed', object });
    },

    /** Tells that a certificate of the engine ends soon, or is not renewed. */
    tellExpiring({ reason, names, expiresAt, daysLeft, problem }: ExpiringCertificate): void {
      const object = { reason, names, expires_at: isoFrom(expiresAt), days_left: daysLeft, problem };
      webhooks.emit({ type: 'certificate.expiring', object });
    },

    /** Tells of agents and tunnels from now on. */
    follow({ registry, findAgent, onAgent }: Inventory): void {
      const tell = (change: Change) => {
        const { type, object, user_id } = changeEventFrom(change, clock.now());
        webhooks.emit({ type, object, userId: user_id });
      };
      const tellTunnel = (tunnel: Tunnel, isGone: boolean) => {
        if (!webhooks.wants(isGone ? 'tunnel.deleted' : 'tunnel.created')) return;
        tell({ side: 'tunnels', isGone, item: dtoFromTunnel(tunnel, findAgent(tunnel.agentId)?.userId) });
      };
      registry.onOpened((tunnel) => tellTunnel(tunnel, false));
      registry.onClosed((tunnel) => tellTunnel(tunnel, true));
      onAgent((event, agent) =>
        tell({ side: 'clients', isGone: event === 'closed', item: clientFromAgent(agent) }),
      );
    },

    start(): void {
      webhooks.start();
      credentials.look();
      following = every(clock, LIMITS.webhookAuditMs, credentials.look);
    },

    async close(): Promise<void> {
      following?.cancel();
      credentials.look();
      await webhooks.close();
    },
  };
};

const ENGINE = { actor: 'engine', origin: 'local' } as const;

const CREDENTIAL_EVENTS: Readonly<Record<string, WebhookEventType>> = {
  create: 'credential.created',
  add: 'credential.created',
  rotate: 'credential.rotated',
  revoke: 'credential.revoked',
};

/** Looks what the audit log has got since the last look, while somebody asks for it. */
const createCredentialFollower = ({ log, audit }: WebhookFeedNeeds, webhooks: Webhooks) => {
  let lastNumber: number | undefined;
  const tell = ({ action, object: id, name, result }: AuditEntry) => {
    const [kind = '', verb = ''] = action.split('.');
    const type = CREDENTIAL_EVENTS[verb];
    if (type && result === 'ok' && ['pat', 'app', 'certificate'].includes(kind))
      webhooks.emit({ type, object: { id, kind, name } });
  };
  return {
    look(): void {
      if (!Object.values(CREDENTIAL_EVENTS).some(webhooks.wants)) {
        lastNumber = undefined;
        return;
      }
      try {
        const entries = audit.list(lastNumber === undefined ? 1 : LIMITS.adminPageMax);
        const from = lastNumber;
        lastNumber = entries[0]?.number ?? 0;
        if (from !== undefined) for (const entry of entries.reverse()) if (entry.number > from) tell(entry);
      } catch (error) {
        // The file is made with the first entry.
        log.debug({ error }, 'the audit log was not read for webhooks');
        lastNumber ??= 0;
      }
    },
  };
};
