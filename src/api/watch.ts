/**
 * Who watches the inventory, and what each of them is sent.
 *
 * Flow: registry and sessions tell of each change; once a turn of the event loop the changes of that turn go to all watchers whose
 * filters they match. watch-routes.ts brings the watchers; engine.ts says when their credentials may have ended.
 * Invariant: the first event is the inventory, and what follows are the changes after it, each once and in order: snapshot and
 * subscription are one synchronous step, behind everything that was still to be sent. An agent comes before its tunnels and leaves after them.
 * Limits: watchersMax; audience.ts.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Principal } from '../base/principal.ts';
import type { Clock } from '../base/time.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { createAudience, type Member, type WatchLink } from './audience.ts';
import { type AgentView, clientFromAgent, dtoFromTunnel } from './dto.ts';
import { matcherFrom, type WatchParams } from './params.ts';
import {
  batchFrom,
  type Change,
  changeEventFrom,
  type EventBatch,
  initialEventFrom,
} from './watch-events.ts';

export interface WatchNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Pick<TunnelRegistry, 'list' | 'onOpened' | 'onClosed'>;
  listAgents(): readonly AgentView[];
  findAgent(id: string): AgentView | undefined;
  /** Calls when an agent has come, before its tunnels, and when it has left, after them. */
  onAgent(listener: (event: 'opened' | 'closed', agent: AgentView) => void): () => void;
}

export type Watch = ReturnType<typeof createWatch>;

/** Watchers with the same filters get the same bytes. */
interface Group {
  readonly key: string;
  readonly matches: Readonly<Record<Change['side'], ReturnType<typeof matcherFrom>>>;
  readonly watchers: Set<Watcher>;
}

type Watcher = Member<Principal>;

export const createWatch = (needs: WatchNeeds) => {
  const { clock, log, registry } = needs;
  const groups = new Map<string, Group>();
  const audience = createAudience<Principal>({ clock, log }, { membersMax: LIMITS.watchersMax });
  let pending: { readonly change: Change; readonly text: Buffer }[] = [];
  // Of those that come together, as after a restart, many ask for the same.
  let latestInitial: { readonly group: Group; readonly batch: EventBatch } | undefined;

  const note = (changeOf: () => Change) => {
    latestInitial = undefined;
    if (groups.size === 0) return;
    if (pending.length === 0) setImmediate(flush);
    const change = changeOf();
    pending.push({ change, text: textFrom(changeEventFrom(change, clock.now())) });
  };
  const noteTunnel = (tunnel: Tunnel, isGone: boolean) =>
    note(() => ({ side: 'tunnels', isGone, item: dtoFrom(tunnel) }));
  const dtoFrom = (tunnel: Tunnel) => dtoFromTunnel(tunnel, needs.findAgent(tunnel.agentId)?.userId);
  const following = [
    registry.onOpened((tunnel) => noteTunnel(tunnel, false)),
    registry.onClosed((tunnel) => noteTunnel(tunnel, true)),
    needs.onAgent((event, agent) =>
      note(() => ({ side: 'clients', isGone: event === 'closed', item: clientFromAgent(agent) })),
    ),
  ];

  const flush = () => {
    const events = pending;
    pending = [];
    for (const { matches, watchers: members } of groups.values()) {
      const texts = events.filter(({ change }) => matches[change.side](change.item)).map(({ text }) => text);
      if (texts.length === 0) continue;
      const batch = batchFrom(texts);
      for (const watcher of members) audience.send(watcher, batch);
    }
  };

  const unsubscribe = (watcher: Watcher, group: Group) => {
    group.watchers.delete(watcher);
    if (group.watchers.size > 0) return;
    groups.delete(group.key);
    if (latestInitial?.group === group) latestInitial = undefined;
  };

  const groupOf = (params: WatchParams): Group => {
    const key = JSON.stringify(params);
    const matches = { clients: matcherFrom(params.clients), tunnels: matcherFrom(params.tunnels) };
    const group = groups.get(key) ?? { key, matches, watchers: new Set() };
    groups.set(key, group);
    return group;
  };

  const initialBatch = (group: Group): EventBatch => {
    if (latestInitial?.group === group) return latestInitial.batch;
    const clients = needs.listAgents().map(clientFromAgent).filter(group.matches.clients);
    const tunnels = registry.list().map(dtoFrom).filter(group.matches.tunnels);
    const batch = batchFrom([textFrom(initialEventFrom(clients, tunnels, clock.now()))]);
    latestInitial = { group, batch };
    return batch;
  };

  return {
    requireRoom: audience.requireRoom,

    /** Sends the inventory, and from then on what changes, until the link is closed or ended. */
    add(link: WatchLink, principal: Principal, remote: string, params: WatchParams): void {
      // What is in the inventory already must not be told as news.
      flush();
      const group = groupOf(params);
      const watcher = audience.add(link, {
        who: principal,
        shown: { remote, credentialId: principal.credentialId },
        onLeft: () => unsubscribe(watcher, group),
      });
      group.watchers.add(watcher);
      // The inventory may be large, and how large is nothing that the watcher could help.
      audience.send(watcher, initialBatch(group), 0);
    },

    /** Ends the watchers whose credential is not active any more; to be called twice a second and after each revocation. */
    recheck(isActive: (principal: Principal) => boolean): void {
      audience.endWhere((principal) =>
        isActive(principal) ? undefined : endedReasonOf(principal, clock.now()),
      );
    },

    /** Takes no more watchers, and tells those that there are. */
    close(): void {
      flush();
      audience.close();
    },

    /** Forgets everything; whoever owns the connections ends them. */
    destroy(): void {
      audience.close();
      pending = [];
      for (const stop of following) stop();
    },

    /** Those whose connection is open. */
    get watcherCount(): number {
      return audience.memberCount;
    },

    /** Watchers that were cut because they did not read. */
    get slowCount(): number {
      return audience.slowCount;
    },
  };
};

const textFrom = (event: object): Buffer => Buffer.from(JSON.stringify(event));

const endedReasonOf = ({ expiresAt = Number.POSITIVE_INFINITY }: Principal, nowMs: number): EngineError =>
  nowMs >= expiresAt ? fail('TOKEN_EXPIRED') : fail('TOKEN_REVOKED');
