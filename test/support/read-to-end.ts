/** Reads a stream until the other side ends. Unlike `for await`, it leaves a duplex alive: the reader may still answer. */
import { once } from 'node:events';
import type { Readable } from 'node:stream';

export const readToEnd = async (stream: Readable): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  return Buffer.concat(chunks);
};
