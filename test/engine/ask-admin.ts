/** The Admin API of an engine under test, as a browser or a program sees it. */
import { request as httpsRequest } from 'node:https';
import type { TestContext } from 'node:test';
import { createClock } from '../../src/base/time.ts';
import type { AdminRole } from '../../src/store/admin-table.ts';
import { type Admins, createAdmins } from '../../src/store/admins.ts';
import { openDatabase } from '../../src/store/database.ts';
import { type EngineOptions, startEngine, type TestEngine } from '../support/engine.ts';

export const PASSWORD = 'correct horse battery';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a test asks of an answer, it also compares
  readonly body: any;
}

export type Ask = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string | undefined>,
) => Promise<Answer>;

/** An engine that serves the admin page on a free port. */
export const startAdminEngine = (
  t: TestContext,
  settings: EngineOptions['settings'] = {},
  options: Omit<EngineOptions, 'settings'> = {},
): Promise<TestEngine> =>
  startEngine(t, {
    ...options,
    settings: { admin: { enabled: true, listen_addr: '127.0.0.1:0' }, ...settings },
  });

/** Works on the admins over a database connection of its own, as the command line does. */
export const withAdmins = async <Result>(
  engine: TestEngine,
  work: (admins: Admins) => Result | Promise<Result>,
): Promise<Result> => {
  const database = openDatabase({ path: `${engine.directory}/engine.db`, mode: 'open' });
  try {
    return await work(createAdmins({ database, clock: createClock() }));
  } finally {
    database.close();
  }
};

/** Sends one request to the admin listener; a header that is undefined is left out. */
export const askAdmin = (
  engine: TestEngine,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string | undefined> = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const all = {
      host: `localhost:${engine.adminPort}`,
      ...(text !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      }),
      ...headers,
    };
    const sent = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port: engine.adminPort,
        servername: 'localhost',
        ca: engine.ca,
        method,
        path,
        headers: sent as Record<string, string>,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => {
          const answered = Buffer.concat(chunks).toString('latin1');
          const isJson = answered !== '' && /json(?!l)/.test(response.headers['content-type'] ?? '');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: answered,
            body: isJson ? JSON.parse(Buffer.concat(chunks).toString()) : undefined,
          });
        });
      },
    );
    request.on('error', reject).end(text);
  });

/** A browser with a session of its own: its cookie, and the origin of the page. */
export const logIn = async (engine: TestEngine, name: string, role: AdminRole = 'admin') => {
  const { record, link } = await withAdmins(engine, (admins) => admins.create({ name, role }));
  const origin = `https://localhost:${engine.adminPort}`;
  const answer = await askAdmin(
    engine,
    'POST',
    '/api/admin/session/link',
    { link: link.reveal(), password: PASSWORD },
    { origin, 'sec-fetch-site': 'same-origin' },
  );
  const [cookie = ''] = String(answer.headers['set-cookie']).split(';');
  const ask: Ask = (method, path, body, headers) =>
    askAdmin(engine, method, `/api/admin${path}`, body, {
      cookie,
      origin,
      'sec-fetch-site': 'same-origin',
      ...headers,
    });
  return { id: record.id, link, answer, cookie, origin, ask };
};

/** A program with a token. */
export const askWithToken =
  (engine: TestEngine, token: string): Ask =>
  (method, path, body, headers) =>
    askAdmin(engine, method, `/api/admin${path}`, body, { authorization: `Bearer ${token}`, ...headers });
