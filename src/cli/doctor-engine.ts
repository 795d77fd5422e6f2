/** The checks of `doctor` that talk to the engine that runs: a handshake as an agent makes it, and a stream through it. */
import { createConnector } from '../agent/connection.ts';
import { LIMITS } from '../base/limits.ts';
import { targetOf, throughAgent } from './doctor-agent.ts';
import { type Check, fault, ok } from './finding.ts';
import { serveSamplePage } from './sample-page.ts';

/** TLS with the engine's own name, trust included. */
export const checkEngine: Check = async (needs) => {
  const connector = createConnector(needs, targetOf(needs));
  try {
    const connection = await connector.connect();
    connection.destroy();
    return [ok(`${connector.address} answers agents, with a certificate that they can trust`)];
  } finally {
    connector.destroy();
  }
};

/** A page of our own, fetched through a private tunnel of bytes. */
export const checkRoundTrip: Check = async (needs) => {
  const { clock } = needs;
  const page = await serveSamplePage();
  const startMs = clock.elapsed();
  try {
    return await throughAgent(
      needs,
      { port: page.port, deadlineMs: LIMITS.engineConnectMsMax },
      async (dial) => {
        const stream = await dial();
        stream.write('GET / HTTP/1.1\r\nhost: doctor\r\nconnection: close\r\n\r\n');
        let answer = '';
        for await (const bytes of stream) answer += bytes;
        const ms = Math.round(clock.elapsed() - startMs);
        return answer.startsWith('HTTP/1.1 200')
          ? ok(`an agent connected, and a stream came through it, in ${ms} ms`)
          : fault('a stream came through an agent, but not what was sent into it');
      },
    );
  } finally {
    page.server.close();
    page.server.closeAllConnections();
  }
};
