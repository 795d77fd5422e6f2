/**
 * Who watches the inventory, and what each of them is sent.
 *
 * Flow: registry and sessions tell of each change; once a turn of the event loop the changes of that turn go to all watchers whose
 * filters they match. watch-routes.ts brings the watchers; engine.ts says when their credentials may have ended.
 * Invariant: the first event is the inventory, and what follows are the changes after it, each once and in order: snapshot and
 * subscription are one synchronous step, behind everything that was still to be sent. An agent comes before its tunnels and leaves after them.
 * Limits: watchersMax, watchQueuedEventsMax, watchQueuedBytesMax, watchKeepAliveMs, apiAnswerMsMax.
 */
import { type EngineError, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Principal } from '../base/principal.ts';
import { type Clock, createSweep, type Swept } from '../base/time.ts';
import type { TunnelRegistry } from '../tunnel/registry.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
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

/** The connection of a watcher; watch-sse.ts and watch-websocket.ts make them. */
export interface WatchLink {
  /** @param onLeft called when the system has taken all of it */
  send(batch: EventBatch, onLeft: () => void): void;
  /** A sign of life, and a look for one. @param nowMs elapsed time of the sweep */
  keepAlive(nowMs: number): void;
  /** Says why, as far as the peer still reads, and ends. */
  end(reason: EngineError): void;
  /** Calls once when it is over, whoever ended it. */
  onClosed(listener: () => void): void;
}

export type Watch = ReturnType<typeof createWatch>;

/** Watchers with the same filters get the same bytes. */
interface Group {
  readonly key: string;
  readonly matches: Readonly<Record<Change['side'], ReturnType<typeof matcherFrom>>>;
  readonly watchers: Set<Watcher>;
}

interface Watcher extends Swept {
  readonly principal: Principal;
  readonly remote: string;
  readonly group: Group;
  readonly link: WatchLink;
  queuedCount: number;
  queuedBytes: number;
  /** When something of what is queued last left, or began to wait. */
  movedMs: number;
}

export const createWatch = (needs: WatchNeeds) => {
  const { clock, log, registry } = needs;
  const sweep = createSweep(clock, LIMITS.watchKeepAliveMs);
  const groups = new Map<string, Group>();
  // Those that are told of their end, and have not gone yet, are in no group any more.
  const watchers = new Set<Watcher>();
  let pending: { readonly change: Change; readonly text: Buffer }[] = [];
  // Of those that come together, as after a restart, many ask for the same.
  let latestInitial: { readonly group: Group; readonly batch: EventBatch } | undefined;
  let slowCount = 0;
  let isClosing = false;

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
      for (const watcher of members) {
        if (isBehind(watcher)) cut(watcher);
        else send(watcher, batch, batch.byteCount);
      }
    }
  };

  const send = (watcher: Watcher, batch: EventBatch, byteCount: number) => {
    if (watcher.queuedCount === 0) watcher.movedMs = sweep.nowMs;
    watcher.queuedCount += batch.eventCount;
    watcher.queuedBytes += byteCount;
    watcher.link.send(batch, () => {
      watcher.queuedCount -= batch.eventCount;
      watcher.queuedBytes -= byteCount;
      watcher.movedMs = sweep.nowMs;
    });
  };

  /** False when it was told of its end before. */
  const unsubscribe = (watcher: Watcher): boolean => {
    const { group } = watcher;
    if (!group.watchers.delete(watcher)) return false;
    sweep.remove(watcher);
    if (group.watchers.size > 0) return true;
    groups.delete(group.key);
    if (latestInitial?.group === group) latestInitial = undefined;
    return true;
  };

  const end = (watcher: Watcher, reason: EngineError) => {
    if (!unsubscribe(watcher)) return;
    const { link, remote, principal, queuedCount } = watcher;
    const level = reason.code === 'WATCHER_SLOW' ? 'warn' : 'info';
    log[level](
      { code: reason.code, remote, credentialId: principal.credentialId, queuedCount },
      'watcher ended',
    );
    link.end(reason);
  };

  const cut = (watcher: Watcher) => {
    slowCount += 1;
    end(watcher, fail('WATCHER_SLOW', { queuedCount: watcher.queuedCount }));
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
    /** Throws ENGINE_DRAINING and WATCHER_LIMIT; to be asked before a link is made. */
    requireRoom(): void {
      if (isClosing) throw fail('ENGINE_DRAINING');
      if (watchers.size >= LIMITS.watchersMax) throw fail('WATCHER_LIMIT', { limit: LIMITS.watchersMax });
    },

    /** Sends the inventory, and from then on what changes, until the link is closed or ended. */
    add(link: WatchLink, principal: Principal, remote: string, params: WatchParams): void {
      // What is in the inventory already must not be told as news.
      flush();
      const group = groupOf(params);
      const watcher: Watcher = {
        principal,
        remote,
        group,
        link,
        queuedCount: 0,
        queuedBytes: 0,
        movedMs: 0,
        checkDeadline(nowMs) {
          if (watcher.queuedCount === 0) link.keepAlive(nowMs);
          else if (nowMs - watcher.movedMs > LIMITS.apiAnswerMsMax) cut(watcher);
        },
      };
      watchers.add(watcher);
      group.watchers.add(watcher);
      sweep.add(watcher);
      link.onClosed(() => {
        watchers.delete(watcher);
        unsubscribe(watcher);
      });
      // The inventory may be large, and how large is nothing that the watcher could help.
      send(watcher, initialBatch(group), 0);
    },

    /** Ends the watchers whose credential is not active any more; to be called twice a second and after each revocation. */
    recheck(isActive: (principal: Principal) => boolean): void {
      for (const watcher of watchers)
        if (!isActive(watcher.principal)) end(watcher, endedReasonOf(watcher.principal, clock.now()));
    },

    /** Takes no more watchers, and tells those that there are. */
    close(): void {
      if (isClosing) return;
      isClosing = true;
      flush();
      for (const watcher of watchers) end(watcher, fail('ENGINE_DRAINING'));
    },

    /** Forgets everything; whoever owns the connections ends them. */
    destroy(): void {
      isClosing = true;
      pending = [];
      for (const stop of following) stop();
    },

    /** Those whose connection is open. */
    get watcherCount(): number {
      return watchers.size;
    },

    /** Watchers that were cut because they did not read. */
    get slowCount(): number {
      return slowCount;
    },
  };
};

const textFrom = (event: object): Buffer => Buffer.from(JSON.stringify(event));

const isBehind = ({ queuedCount, queuedBytes }: Watcher): boolean =>
  queuedCount >= LIMITS.watchQueuedEventsMax || queuedBytes >= LIMITS.watchQueuedBytesMax;

const endedReasonOf = ({ expiresAt = Number.POSITIVE_INFINITY }: Principal, nowMs: number): EngineError =>
  nowMs >= expiresAt ? fail('TOKEN_EXPIRED') : fail('TOKEN_REVOKED');
