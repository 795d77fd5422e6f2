/** Watchers of the Engine API over both transports, and the inventory that their events add up to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { WebSocket } from 'ws';
import { eventually } from './eventually.ts';

export interface WatchedItem {
  readonly id: string;
  readonly [key: string]: unknown;
}

export interface WatchedEvent {
  readonly type: string;
  readonly user_id?: string;
  readonly created_at: string;
  readonly object: WatchedItem & { readonly clients: WatchedItem[]; readonly tunnels: WatchedItem[] };
}

/** What a watcher has heard so far. */
export interface TestWatcher {
  readonly events: readonly WatchedEvent[];
  /** Comments of server-sent events, or the close code and reason of a WebSocket. */
  readonly comments: readonly string[];
  readonly pings: number;
  readonly headers: IncomingMessage['headers'];
  /** Resolves at the end of the connection. */
  readonly ended: Promise<void>;
  readonly isOver: boolean;
  /** Reads no more, or again. */
  pause(): void;
  resume(): void;
  /** Waits until so many events have come. */
  count(eventCount: number): Promise<readonly WatchedEvent[]>;
  /** What is there by the events; throws when one of them contradicts those before it. */
  inventory(): { readonly clients: readonly string[]; readonly tunnels: readonly string[] };
  close(): void;
}

export interface WatchTarget {
  readonly port: number;
  /** Watches over TLS to localhost. */
  readonly ca?: string;
}

export interface WatchAsk {
  readonly token?: string;
  readonly query?: string;
  readonly headers?: OutgoingHttpHeaders;
}

export type Transport = 'sse' | 'websocket';
export const TRANSPORTS: readonly Transport[] = ['sse', 'websocket'];

/** A watcher that was refused. */
export class WatchRefusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, body: string) {
    super(body);
    this.status = status;
    this.code = JSON.parse(body).code;
  }
}

/** Opens a watcher; throws WatchRefusal. */
export const openWatcher = (
  transport: Transport,
  target: WatchTarget,
  ask: WatchAsk = {},
): Promise<TestWatcher> =>
  transport === 'sse' ? openSseWatcher(target, ask) : openWebSocketWatcher(target, ask);

const bearer = ({ token, headers = {} }: WatchAsk): OutgoingHttpHeaders => ({
  ...headers,
  ...(token !== undefined && { authorization: `Bearer ${token}` }),
});

const openSseWatcher = async ({ port, ca }: WatchTarget, ask: WatchAsk): Promise<TestWatcher> => {
  const options = { host: '127.0.0.1', port, path: `/api/sse${ask.query ?? ''}`, agent: false as const };
  const headers = { host: 'localhost', ...bearer(ask) };
  const request =
    ca === undefined
      ? httpRequest({ ...options, headers })
      : httpsRequest({ ...options, headers, ca, servername: 'localhost' });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.setEncoding('utf8');
  if (response.statusCode !== 200) throw new WatchRefusal(response.statusCode ?? 0, await textOf(response));
  const hearing = createHearing(response.headers);
  let rest = '';
  response.on('data', (chunk: string) => {
    const blocks = (rest + chunk).split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith(':')) hearing.comments.push(block);
      else {
        assert.match(block, /^data: .*$/, 'one data line and nothing else');
        hearing.hear(block.slice('data: '.length));
      }
    }
  });
  response.on('error', () => {}).once('close', hearing.end);
  return hearing.watcherOf({
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void request.destroy(),
  });
};

const textOf = async (response: IncomingMessage): Promise<string> => {
  let text = '';
  for await (const chunk of response) text += chunk;
  return text;
};

const openWebSocketWatcher = async ({ port, ca }: WatchTarget, ask: WatchAsk): Promise<TestWatcher> => {
  const scheme = ca === undefined ? 'ws' : 'wss';
  const webSocket = new WebSocket(`${scheme}://127.0.0.1:${port}/api/websocket${ask.query ?? ''}`, {
    headers: { host: 'localhost', ...bearer(ask) },
    ...(ca !== undefined && { ca, servername: 'localhost' }),
  });
  webSocket.on('error', () => {});
  const hearing = createHearing({});
  webSocket.on('message', (data, isBinary) => {
    assert.equal(isBinary, false, 'text frames');
    hearing.hear(String(data));
  });
  webSocket.on('ping', () => {
    hearing.counts.pings += 1;
  });
  webSocket.once('close', (code, reason) => {
    hearing.comments.push(`${code} ${reason}`);
    hearing.end();
  });
  const refused = once(webSocket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>;
  const opened = once(webSocket, 'open').then(() => undefined);
  const outcome = await Promise.race([refused, opened]);
  for (const promise of [refused, opened]) promise.catch(() => {});
  if (outcome) throw new WatchRefusal(outcome[1].statusCode ?? 0, await textOf(outcome[1]));
  return hearing.watcherOf({
    pause: () => webSocket.pause(),
    resume: () => webSocket.resume(),
    close: () => webSocket.terminate(),
  });
};

const createHearing = (headers: IncomingMessage['headers']) => {
  const events: WatchedEvent[] = [];
  const comments: string[] = [];
  const counts = { pings: 0 };
  let isOver = false;
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = () => {
      isOver = true;
      resolve();
    };
  });
  return {
    comments,
    counts,
    end,
    hear: (text: string) => void events.push(JSON.parse(text)),
    watcherOf: (controls: Pick<TestWatcher, 'pause' | 'resume' | 'close'>): TestWatcher => ({
      ...controls,
      events,
      comments,
      headers,
      ended,
      get isOver() {
        return isOver;
      },
      get pings() {
        return counts.pings;
      },
      count: async (eventCount) => {
        await eventually(() => events.length >= eventCount, `${eventCount} events have come`);
        return events;
      },
      inventory: () => inventoryFrom(events),
    }),
  };
};

const inventoryFrom = ([initial, ...changes]: readonly WatchedEvent[]) => {
  assert.equal(initial?.type, 'state.initial');
  const present = {
    client: new Set(initial.object.clients.map(({ id }) => id)),
    tunnel: new Set(initial.object.tunnels.map(({ id }) => id)),
  };
  for (const { type, object } of changes) {
    const [kind, happened] = type.split('.') as ['client' | 'tunnel', string];
    const isChange = happened === 'created' ? !present[kind].has(object.id) : present[kind].has(object.id);
    assert.ok(isChange, `${type} of ${object.id} is news`);
    if (happened === 'created') present[kind].add(object.id);
    else present[kind].delete(object.id);
  }
  return { clients: [...present.client].sort(), tunnels: [...present.tunnel].sort() };
};
