/**
 * The cases of h2spec that our edge does not pass, each with its reason. The run fails on any other, and on one that has come to pass.
 *
 * All of them are decided inside node:http2 and nghttp2, before our code hears of the frame: a bare node:http2 server fails the same
 * ones, with the same answers. h2spec tests RFC 7540; where RFC 9113, which replaced it, asks for less, the reason says so.
 */

/** A case that may, and must, fail. */
export interface H2specException {
  /** Section and name of the case, as h2spec reports them. */
  readonly name: string;
  readonly reason: string;
  /** Minor versions of nghttp2 1.x that it fails with; all when left out. Seen: 61 (Node 20), 66 (24), 69 (22) and 70 (26). */
  readonly nghttp2?: { readonly from?: number; readonly before?: number };
}

const FORGOTTEN =
  'nghttp2 forgets a stream that has ended and ignores late frames on it: a peer that has not yet seen our reset may send them, and ' +
  'RFC 9113 5.1 leaves an error to the receiver (MAY).';
const NO_PRIORITIES =
  'This nghttp2 knows no priorities, which RFC 9113 5.3.2 deprecates, and ignores PRIORITY frames whatever they say.';

/** Every exception, in the order of h2spec's report. */
export const H2SPEC_EXCEPTIONS: readonly H2specException[] = [
  { name: 'http2/5.1 closed: Sends a DATA frame after sending RST_STREAM frame', reason: FORGOTTEN },
  { name: 'http2/5.1 closed: Sends a HEADERS frame after sending RST_STREAM frame', reason: FORGOTTEN },
  { name: 'http2/5.1 closed: Sends a DATA frame', reason: FORGOTTEN },
  { name: 'http2/5.1 closed: Sends a HEADERS frame', reason: FORGOTTEN },
  {
    name: 'http2/5.1.1 Sends stream identifier that is numerically smaller than previous',
    reason:
      'nghttp2 cannot tell a skipped stream from one that it forgot and ignores the frame; the request is not served, so nothing is ' +
      'gained by sending it.',
  },
  {
    name: 'http2/5.3.1 Sends PRIORITY frame that depend on itself',
    reason: NO_PRIORITIES,
    nghttp2: { from: 66 },
  },
  {
    name: 'http2/6.3 Sends a PRIORITY frame with 0x0 stream identifier',
    reason: NO_PRIORITIES,
    nghttp2: { from: 66 },
  },
  {
    name: 'http2/6.7 Sends a PING frame with ACK',
    reason:
      'Node ends a connection whose peer answers a PING that was never sent, where h2spec wants it to live on; RFC 9113 6.7 asks only ' +
      'that it is not answered, and it is not.',
  },
  {
    name: 'http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1',
    reason:
      'Node 20 ends the connection as it must, but its GOAWAY says INTERNAL_ERROR instead of FLOW_CONTROL_ERROR.',
    nghttp2: { before: 66 },
  },
  {
    name: 'http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream',
    reason:
      'This nghttp2 ends the whole connection with FLOW_CONTROL_ERROR instead of the one stream, which RFC 9113 5.4.1 allows.',
    nghttp2: { from: 69 },
  },
];
