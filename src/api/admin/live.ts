/**
 * What the admin page is told while it is open: tunnels, agents and numbers, as they change.
 *
 * Flow: registry and sessions tell of each change; a few times a second what has gathered goes to everybody who watches, as one message.
 * live-socket.ts brings the watchers; the lobby says when sessions and credentials may have ended.
 * Invariant: the state comes first and holds everything up to that moment; what follows is each later change once. Nothing is gathered
 * or timed while nobody watches.
 * Limits: adminWatchersMax, adminLiveTurnMs, watchKeepAliveMs; audience.ts.
 */

import { type EngineError, fail } from '../../base/errors.ts';
import { isoFrom } from '../../base/instant.ts';
import { LIMITS } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { Principal } from '../../base/principal.ts';
import { type Clock, every, type Timer } from '../../base/time.ts';
import type { Admins } from '../../store/admins.ts';
import type { Credentials } from '../../store/credentials.ts';
import type { TunnelRegistry } from '../../tunnel/registry.ts';
import { createAudience, type Member, type WatchLink } from '../audience.ts';
import { batchFrom, type EventBatch } from '../watch-events.ts';
import type { AdminCaller } from './identity.ts';
import {
  agentFrom,
  credentialNames,
  type InventoryNeeds,
  type LiveAgent,
  listAgents,
  listTunnels,
  tunnelFrom,
} from './inventory.ts';
import { createChanges, type LiveChange, type LiveNumbers, type LiveState } from './live-shapes.ts';
import { createTruthNews } from './truth.ts';

export interface LiveNeeds extends InventoryNeeds {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Pick<TunnelRegistry, 'list' | 'onOpened' | 'onClosed'>;
  readonly credentials: Pick<Credentials, 'list' | 'onChange'>;
  readonly admins: Pick<Admins, 'sessions' | 'list'>;
  /** Calls when an agent has come, before its tunnels, and when it has left, after them. */
  onAgent(listener: (event: 'opened' | 'closed', agent: LiveAgent) => void): () => void;
  isDraining(): boolean;
  connectionCounts(): { readonly downstreams: number; readonly connections: number };
}

export type Live = ReturnType<typeof createLive>;

export const createLive = (needs: LiveNeeds) => {
  const { clock, registry, credentials, admins } = needs;
  const audience = createAudience<AdminCaller>(needs, { membersMax: LIMITS.adminWatchersMax });
  const members = new Set<Member<AdminCaller>>();
  const tunnels = createChanges<LiveState['tunnels'][number]>();
  const agents = createChanges<LiveAgent>();
  const truthNews = createTruthNews(needs.truthOf);
  let hasNewCredentials = false;
  // Of those that come together, as after a restart, all get the same.
  let latestState: EventBatch | undefined;
  let turning: Timer | undefined;
  let told = { numbers: '', atMs: 0 };

  const note = (change: () => void) => {
    latestState = undefined;
    if (members.size > 0) change();
  };
  const following = [
    registry.onOpened((tunnel) => note(() => tunnels.add(tunnel.id, tunnelFrom(tunnel, needs)))),
    registry.onClosed(({ id }) => note(() => tunnels.remove(id))),
    needs.onAgent((event, agent) =>
      note(() => (event === 'opened' ? agents.add(agent.id, agent) : agents.remove(agent.id))),
    ),
    credentials.onChange(() =>
      note(() => {
        hasNewCredentials = true;
      }),
    ),
  ];

  const numbersNow = (): LiveNumbers => ({
    status: needs.isDraining() ? 'draining' : 'ready',
    agents: needs.listAgents().length,
    tunnels: registry.list().length,
    ...needs.connectionCounts(),
  });

  /** The numbers, when they are not what was told last, or when that was long ago. */
  const newNumbers = (): LiveNumbers | undefined => {
    const numbers = numbersNow();
    const text = JSON.stringify(numbers);
    const isOld = clock.elapsed() - told.atMs >= LIMITS.watchKeepAliveMs;
    if (text === told.numbers && !isOld) return undefined;
    told = { numbers: text, atMs: clock.elapsed() };
    return numbers;
  };

  const newAgents = (): LiveChange['agents'] => {
    const change = agents.take();
    if (!change) return undefined;
    const names = change.came.length > 0 ? credentialNames(needs) : new Map<string, string>();
    return {
      came: change.came.map((agent) => agentFrom(agent, names.get(agent.credentialId))),
      gone: change.gone,
    };
  };

  /** What is known of a tunnel changes by itself. */
  const noteTruths = () => {
    for (const tunnel of truthNews.changedAmong(registry.list()))
      tunnels.add(tunnel.id, tunnelFrom(tunnel, needs));
  };

  /** Tells everybody what has gathered. */
  const flush = () => {
    noteTruths();
    const change = {
      numbers: newNumbers(),
      agents: newAgents(),
      tunnels: tunnels.take(),
      credentials: hasNewCredentials || undefined,
    };
    hasNewCredentials = false;
    if (Object.values(change).every((part) => part === undefined)) return;
    latestState = undefined;
    const batch = batchOf({ type: 'change', at: isoFrom(clock.now()), ...change } as LiveChange);
    for (const member of members) audience.send(member, batch);
  };

  const stateNow = (): EventBatch => {
    latestState ??= batchOf({
      type: 'state',
      at: isoFrom(clock.now()),
      numbers: numbersNow(),
      agents: listAgents(needs),
      tunnels: listTunnels(needs),
    });
    return latestState;
  };

  const leave = (member: Member<AdminCaller>) => {
    members.delete(member);
    if (members.size > 0) return;
    turning?.cancel();
    turning = undefined;
    // Who comes next begins with the state.
    tunnels.take();
    agents.take();
    hasNewCredentials = false;
  };

  return {
    requireRoom: audience.requireRoom,

    /** Sends the state, and from then on what changes, until the link is closed or ended. */
    add(link: WatchLink, caller: AdminCaller, remote: string): void {
      // What is in the state already must not be told as news.
      flush();
      const member = audience.add(link, {
        who: caller,
        shown: { remote, actor: caller.actor.actor },
        onLeft: () => leave(member),
      });
      members.add(member);
      turning ??= every(clock, LIMITS.adminLiveTurnMs, flush);
      audience.send(member, stateNow(), 0);
    },

    /**
     * Ends the watchers whose session or token has ended, and those whose role has changed, as the page shows what was allowed when it
     * asked; to be called twice a second.
     */
    recheck(isActive: (principal: Principal) => boolean): void {
      if (members.size === 0) return;
      const sessions = new Set(admins.sessions().map(({ id }) => id));
      const roles = new Map(admins.list().map(({ id, role }) => [id, role]));
      audience.endWhere(({ login, principal }) => {
        if (login && !sessions.has(login.session.id)) return fail('SESSION_ENDED');
        if (login && roles.get(login.admin.id) !== login.admin.role) return fail('ROLE_CHANGED');
        return principal && !isActive(principal) ? endOf(principal, clock.now()) : undefined;
      });
    },

    /** Tells everybody that this is the end, and forgets everything; whoever owns the connections ends them. */
    destroy(): void {
      audience.close();
      for (const stop of following) stop();
    },
  };
};

const batchOf = (message: LiveState | LiveChange): EventBatch =>
  batchFrom([Buffer.from(JSON.stringify(message))]);

const endOf = ({ expiresAt = Infinity }: Principal, nowMs: number): EngineError =>
  nowMs >= expiresAt ? fail('TOKEN_EXPIRED') : fail('TOKEN_REVOKED');
