/**
 * The connection to the engine over which it tells what changes; it comes back by itself.
 *
 * Flow: main.tsx holds one for as long as somebody is logged in; pages take what it knows from its context.
 * Invariant: after each return the state is whole again, and everything that was asked for besides is asked for anew (`turn`). Nothing is
 * shown as current that is not: from the first failure on `staleSince` says how old it is.
 */
import { createContext } from 'preact';
import { useContext, useEffect, useState } from 'preact/hooks';
import { ask, type Me } from './api.ts';
import { type Inventory, inventoryAfter, type Message } from './inventory.ts';

export interface Link {
  readonly inventory: Inventory | undefined;
  /** When the engine was last heard of, while it is not; milliseconds since 1970. */
  readonly staleSince: number | undefined;
  /** Counts the times when whatever else is shown has to be asked for again. */
  readonly turn: number;
}

const NOTHING: Link = { inventory: undefined, staleSince: undefined, turn: 0 };
const LinkContext = createContext(NOTHING);
export const LinkProvider = LinkContext.Provider;
export const useLink = (): Link => useContext(LinkContext);

const WAIT_MS = 500;
const WAIT_MS_MAX = 15_000;
// The engine says something every 15 seconds. A browser does not tell of a network that is simply gone.
const SILENCE_MS_MAX = 40_000;

/** Doubles, and is drawn between half and the whole of that: many pages come back to an engine that has restarted. */
const waitMs = (attemptCount: number): number =>
  Math.min(WAIT_MS_MAX, WAIT_MS * 2 ** attemptCount) * (0.5 + Math.random() / 2);

/**
 * Keeps the connection; to be used once.
 * @param onMe told who is logged in when it is lost: a role that has changed ends it
 */
export const useLinkToEngine = (onMe: (me: Me) => void): Link => {
  const [link, setLink] = useState(NOTHING);
  useEffect(() => openLink((change) => setLink(change), onMe), []);
  return link;
};

/** @returns what ends it */
const openLink = (update: (change: (before: Link) => Link) => void, onMe: (me: Me) => void): (() => void) => {
  let socket: WebSocket | undefined;
  let attemptCount = 0;
  let timer = 0;
  let heardAt = Date.now();
  let isOver = false;

  const setTimer = (call: () => void, ms: number) => {
    clearTimeout(timer);
    timer = window.setTimeout(call, ms);
  };

  const hear = (message: Message) => {
    heardAt = Date.now();
    attemptCount = 0;
    setTimer(() => lose(), SILENCE_MS_MAX);
    update(({ inventory, turn }) => {
      const isReturn = message.type === 'state' && inventory !== undefined;
      const isNews = isReturn || (message.type === 'change' && message.credentials === true);
      return {
        inventory: inventoryAfter(inventory, message),
        staleSince: undefined,
        turn: isNews ? turn + 1 : turn,
      };
    });
  };

  /** The connection is no good any more, or never was. */
  const lose = () => {
    if (isOver || !socket) return;
    drop();
    update((before) => ({ ...before, staleSince: before.staleSince ?? heardAt }));
    // A browser does not say why it was refused; a session that has ended is found out here, and ends all this.
    ask<Me>('GET', '/session', { isRefresh: true }).then(
      (me) => {
        if (!isOver) onMe(me);
      },
      () => {},
    );
    setTimer(connect, waitMs(attemptCount));
    attemptCount += 1;
  };

  const drop = () => {
    const dropped = socket;
    socket = undefined;
    if (!dropped) return;
    dropped.onmessage = null;
    dropped.onclose = null;
    dropped.close();
  };

  const connect = () => {
    if (isOver || socket) return;
    socket = new WebSocket(`wss://${location.host}/api/admin/live`);
    socket.onmessage = ({ data }) => hear(JSON.parse(String(data)) as Message);
    socket.onclose = lose;
    setTimer(lose, SILENCE_MS_MAX);
  };

  /** Somebody looks again, or there is a network again: no reason to wait longer. */
  const hurry = () => {
    if (document.hidden) return;
    if (!socket) connect();
    else if (Date.now() - heardAt > SILENCE_MS_MAX) lose();
  };

  document.addEventListener('visibilitychange', hurry);
  addEventListener('online', hurry);
  connect();
  return () => {
    isOver = true;
    clearTimeout(timer);
    drop();
    document.removeEventListener('visibilitychange', hurry);
    removeEventListener('online', hurry);
  };
};
