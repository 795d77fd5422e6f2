/** gRPC through the engine: grpc-js on both sides, an HTTP/2 downstream and an h2c upstream. */
import assert from 'node:assert/strict';
import { type EventEmitter, once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import type { TestEngine } from '../support/engine.ts';
import { eventually } from '../support/eventually.ts';
import { HOSTNAME } from './http-upstream.ts';
import { startBehind } from './http2-sides.ts';

const asBytes = (text: string): Buffer => Buffer.from(text);
const asText = (bytes: Buffer): string => String(bytes);

/** Messages are plain text: what the engine carries is the framing of gRPC, whatever is in it. */
const methodOf = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asBytes,
  requestDeserialize: asText,
  responseSerialize: asBytes,
  responseDeserialize: asText,
});
const METHODS = {
  unary: methodOf('unary', false, false),
  serverStream: methodOf('serverStream', false, true),
  clientStream: methodOf('clientStream', true, false),
  bidi: methodOf('bidi', true, true),
};

type Unary = grpc.ServerUnaryCall<string, string>;
type Handlers = Partial<Record<keyof typeof METHODS, unknown>>;

const startServer = async (t: TestContext, handlers: Handlers): Promise<{ port: number }> => {
  const server = new grpc.Server();
  server.addService(METHODS, handlers as grpc.UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.after(() => server.forceShutdown());
  return { port };
};

const connectClient = (t: TestContext, { port, ca }: TestEngine, hostname = HOSTNAME): grpc.Client => {
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createSsl(Buffer.from(ca)), {
    'grpc.ssl_target_name_override': hostname,
    'grpc.default_authority': hostname,
  });
  t.after(() => client.close());
  return client;
};

const start = async (t: TestContext, handlers: Handlers) => {
  const engine = await startBehind(t, await startServer(t, handlers), 'h2c');
  return { engine, client: connectClient(t, engine) };
};

interface Outcome {
  readonly value: string | undefined;
  readonly code: number;
  readonly details: string;
  readonly headers: grpc.Metadata;
  readonly trailers: grpc.Metadata;
}

/** One unary call and everything that comes back. */
const call = (
  client: grpc.Client,
  message: string,
  { metadata = new grpc.Metadata(), deadline }: { metadata?: grpc.Metadata; deadline?: Date } = {},
): Promise<Outcome> =>
  new Promise((resolve) => {
    let value: string | undefined;
    let headers = new grpc.Metadata();
    const { path, requestSerialize, responseDeserialize } = METHODS.unary;
    const options = deadline ? { deadline } : {};
    const running = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      metadata,
      options,
      (_error, answer) => {
        value = answer;
      },
    );
    running.on('metadata', (received) => {
      headers = received;
    });
    running.on('status', ({ code, details, metadata: trailers }) =>
      setImmediate(() => resolve({ value, code, details, headers, trailers })),
    );
  });

/** `once` would give up at the error that comes first. */
const statusOf = (stream: EventEmitter): Promise<grpc.StatusObject> =>
  new Promise((resolve) => {
    stream.once('status', resolve);
  });

const echo = (running: Unary, done: grpc.sendUnaryData<string>) => done(null, running.request);

describe('a unary call', () => {
  test('carries its message and metadata both ways, text and binary, and trailers back', async (t) => {
    const { client } = await start(t, {
      unary: (running: Unary, done: grpc.sendUnaryData<string>) => {
        const headers = new grpc.Metadata();
        headers.set('x-echo', running.metadata.get('x-sent')[0] ?? 'none');
        running.sendMetadata(headers);
        const trailers = new grpc.Metadata();
        trailers.set('x-behind-bin', running.metadata.get('x-raw-bin')[0] ?? Buffer.alloc(0));
        done(null, `hello ${running.request}`, trailers);
      },
    });
    const metadata = new grpc.Metadata();
    metadata.set('x-sent', 'a value');
    metadata.set('x-raw-bin', Buffer.from([0, 255, 1]));
    const { value, code, headers, trailers } = await call(client, 'world', { metadata });
    assert.deepEqual([value, code], ['hello world', grpc.status.OK]);
    assert.deepEqual(headers.get('x-echo'), ['a value']);
    assert.deepEqual(trailers.get('x-behind-bin'), [Buffer.from([0, 255, 1])]);
  });

  test('may be 3 MiB long, and a hundred may run at once', async (t) => {
    const { client } = await start(t, { unary: echo });
    const large = 'x'.repeat(3 * 1_048_576);
    assert.equal((await call(client, large)).value, large);
    const texts = Array.from({ length: 100 }, (_, i) => `call ${i}`);
    const outcomes = await Promise.all(texts.map((text) => call(client, text)));
    assert.deepEqual(
      outcomes.map(({ value }) => value),
      texts,
    );
  });

  test('brings the status of a failure, its sentence and its trailers', async (t) => {
    const trailers = new grpc.Metadata();
    trailers.set('x-why', 'because');
    const fault = { code: grpc.status.FAILED_PRECONDITION, details: 'not now, später', metadata: trailers };
    const { client } = await start(t, {
      unary: (_running: Unary, done: grpc.sendUnaryData<string>) => done(fault),
    });
    const outcome = await call(client, 'x');
    assert.deepEqual([outcome.code, outcome.details], [fault.code, fault.details]);
    assert.deepEqual(outcome.trailers.get('x-why'), ['because']);
  });

  test('that nobody implements is told so', async (t) => {
    const { client } = await start(t, {});
    assert.equal((await call(client, 'x')).code, grpc.status.UNIMPLEMENTED);
  });

  test('past its deadline is over on both sides', async (t) => {
    let isCancelled = false;
    const { client, engine } = await start(t, {
      unary: (running: Unary) =>
        running.on('cancelled', () => {
          isCancelled = true;
        }),
    });
    const outcome = await call(client, 'x', { deadline: new Date(Date.now() + 500) });
    assert.equal(outcome.code, grpc.status.DEADLINE_EXCEEDED);
    await eventually(() => isCancelled, 'the server hears of it');
    await eventually(() => engine.log.withCode('REQUEST_ABORTED').length === 1, 'and the log');
  });

  test('to nobody, and to a server that is not there, fails as gRPC means it to', async (t) => {
    const engine = await startBehind(t, { port: 1 }, 'h2c');
    assert.equal((await call(connectClient(t, engine), 'x')).code, grpc.status.UNAVAILABLE);
    const stray = connectClient(t, engine, 'nobody.t.localhost');
    // grpc-js may refuse the connection before any request: the engine shows no certificate to names that it does not know.
    const { code } = await call(stray, 'x', { deadline: new Date(Date.now() + 2_000) });
    assert.ok([grpc.status.UNAVAILABLE, grpc.status.DEADLINE_EXCEEDED].includes(code), `${code}`);
  });
});

describe('a stream', () => {
  test('of answers arrives message by message', async (t) => {
    let running: grpc.ServerWritableStream<string, string> | undefined;
    const { client } = await start(t, {
      serverStream: (one: grpc.ServerWritableStream<string, string>) => {
        running = one;
        one.write(`begin ${one.request}`);
      },
    });
    const { path, requestSerialize, responseDeserialize } = METHODS.serverStream;
    const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, 'now');
    assert.deepEqual(await once(stream, 'data'), ['begin now']);
    for (let count = 0; count < 100; count += 1) {
      running?.write(`message ${count}`);
      assert.deepEqual(await once(stream, 'data'), [`message ${count}`]);
    }
    running?.end();
    const status = await statusOf(stream);
    assert.equal(status.code, grpc.status.OK);
  });

  test('of questions is answered once, at its end', async (t) => {
    const { client } = await start(t, {
      clientStream: async (
        running: grpc.ServerReadableStream<string, string>,
        done: grpc.sendUnaryData<string>,
      ) => {
        let text = '';
        for await (const message of running) text += message;
        done(null, text);
      },
    });
    const { path, requestSerialize, responseDeserialize } = METHODS.clientStream;
    const value = await new Promise((resolve, reject) => {
      const stream = client.makeClientStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
      for (const part of ['a', 'b', 'c']) stream.write(part);
      stream.end();
    });
    assert.equal(value, 'abc');
  });

  test('of questions may be answered before its end', async (t) => {
    const { client } = await start(t, {
      clientStream: (_running: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) =>
        done({ code: grpc.status.RESOURCE_EXHAUSTED, details: 'enough' }),
    });
    const { path, requestSerialize, responseDeserialize } = METHODS.clientStream;
    const stream = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, () => {});
    stream.on('error', () => {});
    stream.write('a');
    const status = await statusOf(stream);
    assert.deepEqual([status.code, status.details], [grpc.status.RESOURCE_EXHAUSTED, 'enough']);
  });

  const startBidi = async (
    t: TestContext,
    onCall?: (running: grpc.ServerDuplexStream<string, string>) => void,
  ) => {
    const { client, engine } = await start(t, {
      bidi: (running: grpc.ServerDuplexStream<string, string>) => {
        onCall?.(running);
        running.on('data', (message: string) => running.write(`${message}!`)).on('end', () => running.end());
      },
    });
    const { path, requestSerialize, responseDeserialize } = METHODS.bidi;
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    stream.on('error', () => {});
    return { stream, engine };
  };

  test('of both goes to and fro', async (t) => {
    const { stream } = await startBidi(t);
    for (let count = 0; count < 100; count += 1) {
      stream.write(`ping ${count}`);
      assert.deepEqual(await once(stream, 'data'), [`ping ${count}!`]);
    }
    stream.end();
    const status = await statusOf(stream);
    assert.equal(status.code, grpc.status.OK);
  });

  test('that is cancelled is cancelled on both sides', async (t) => {
    let isCancelled = false;
    const { stream, engine } = await startBidi(t, (running) =>
      running.on('cancelled', () => {
        isCancelled = true;
      }),
    );
    stream.write('ping');
    await once(stream, 'data');
    stream.cancel();
    const status = await statusOf(stream);
    assert.equal(status.code, grpc.status.CANCELLED);
    await eventually(() => isCancelled, 'the server hears of it');
    await eventually(() => engine.log.withCode('REQUEST_ABORTED').length === 1, 'and the log');
  });
});
