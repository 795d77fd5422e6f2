/** The Engine API of an engine under test, as a caller with a token sees it. */
import { fetchThrough } from '../support/downstream.ts';
import type { TestEngine } from '../support/engine.ts';

export const askApi = async (engine: TestEngine, path: string, token?: string) => {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const { status, body, headers: answered } = await fetchThrough(engine, 'localhost', path, { headers });
  return { status, headers: answered, body: body === '' ? undefined : JSON.parse(body) };
};
