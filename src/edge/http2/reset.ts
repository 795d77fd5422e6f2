/** How a stream is broken off. */
import { constants, type Http2Stream } from 'node:http2';

/**
 * Ends a stream with RST_STREAM, so that its peer cannot take what it has for the whole. Left to itself, node:http2 ends the body with
 * END_STREAM on the way, and the reset comes too late; nothing happens on a stream that is over.
 * @param code of RFC 9113 7
 */
export const resetStream = (stream: Http2Stream, code: number): void => {
  if (stream.closed || stream.destroyed) return;
  stream._final = (done) => done();
  stream.close(code);
};

/**
 * Makes `destroy` do the same, for a relay, which knows streams but no codes.
 * @returns the stream itself
 */
export const brokenOffBy = <Stream extends Http2Stream>(stream: Stream, code: number): Stream => {
  const { destroy } = stream;
  stream.destroy = (error) => {
    resetStream(stream, code);
    return destroy.call(stream, error) as Stream;
  };
  return stream;
};

/** What a relay that breaks off says: RFC 9113 8.5 for a CONNECT, RFC 8441 5 for a protocol inside one. */
export const relayCodeOf = ({ isConnect }: { isConnect: boolean }): number =>
  isConnect ? constants.NGHTTP2_CONNECT_ERROR : constants.NGHTTP2_CANCEL;
