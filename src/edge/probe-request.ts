/**
 * The request by which an HTTP tunnel is probed, and how its answer is heard.
 *
 * Invariant: any answer is a proof, a 500 too: it came from the upstream, all the way. What the upstream can see of the request is a name
 * of its own as user agent, and nobody's identity.
 * Limits: probeAnswerBytesMax of the answer's body.
 */
import { engineErrorFrom, fail } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { PROBE_PATH_LABEL } from '../tunnel/property-rules.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { factsFrom } from './headers.ts';
import type { DownstreamRequest } from './request.ts';
import { NO_TRAILERS, type ResponseSink, type UpstreamConnection } from './sides.ts';

// A private tunnel has no host name, and its dialers may call it what they like.
const PRIVATE_AUTHORITY = 'localhost';

/** GET of the path that the tunnel's label names, or HEAD of the root. */
export const probeRequestFor = ({ properties }: Tunnel, userAgent: string): DownstreamRequest => {
  const path = properties.labels?.[PROBE_PATH_LABEL];
  const authority = properties.host ?? PRIVATE_AUTHORITY;
  const headers = ['Host', authority, 'User-Agent', userAgent, 'Accept', '*/*'];
  return {
    protocol: 'http/1.1',
    method: path === undefined ? 'HEAD' : 'GET',
    target: path ?? '/',
    authority,
    headers,
    facts: factsFrom(headers),
    framing: { kind: 'none' },
    upgrade: undefined,
    isConnect: false,
    wantsClose: false,
  };
};

/**
 * Asks over a connection that was lent or made for it.
 * @returns false when it must be asked again over a fresh one: an upstream may close an idle connection in the very moment of a request
 * @throws what the upstream failed with before the head of its answer; REQUEST_ABORTED
 */
export const askUpstream = (
  connection: UpstreamConnection,
  request: DownstreamRequest,
  signal: AbortSignal,
): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const upstream = connection.open();
    let isProved = false;
    let isOver = false;
    let bodyBytes = 0;
    const settle = (call: () => void) => {
      isOver = true;
      signal.removeEventListener('abort', giveUp);
      call();
    };
    const finish = () => settle(() => resolve(true));
    const giveUp = () => {
      if (isOver) return;
      upstream.abandon();
      settle(() => (isProved ? resolve(true) : reject(fail('REQUEST_ABORTED'))));
    };
    const sink: ResponseSink = {
      takesFramed: false,
      interim() {},
      responseHead() {
        isProved = true;
      },
      responseBody(chunk) {
        bodyBytes += chunk.length;
        // In the next turn: the upstream is in the middle of reading.
        if (bodyBytes > LIMITS.probeAnswerBytesMax) process.nextTick(giveUp);
      },
      responseEnd: finish,
      switched(_head, _facts, bytes) {
        bytes.destroy();
        finish();
      },
      upstreamFailed(error, hasAnswered) {
        if (isProved) finish();
        else if (upstream.isReused && !hasAnswered) settle(() => resolve(false));
        else settle(() => reject(error));
      },
      upstreamDrained() {},
      responseFlush() {},
    };
    signal.addEventListener('abort', giveUp);
    try {
      upstream.begin(sink, request, undefined);
      upstream.endRequest(NO_TRAILERS);
    } catch (thrown) {
      upstream.abandon();
      settle(() => reject(engineErrorFrom(thrown)));
    }
    if (signal.aborted) giveUp();
  });
