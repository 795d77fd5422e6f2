/**
 * Every way in which the engine says no, in one table.
 *
 * Flow: any room throws `fail('CODE', details, cause)`; three boundaries catch (control/accept, edge/exchange, api/app), log once
 * with an error id and show the peer the code, the id and the sentence.
 * Invariant: no refusal exists outside this table; docs/errors.md is rendered from it and a test compares the two.
 * Limits: messages carry no secret and no address of an agent: details are interpolated only where a `{name}` asks for them.
 */
import { newErrorId } from './ids.ts';

/** Whose fault a failure is. Metrics and status decide blame by it: a downstream that hangs up is not our 5xx. */
export type Source = 'downstream' | 'upstream' | 'agent' | 'operator' | 'engine';

/** One row of the table. */
export interface ErrorRow {
  /** HTTP status that a downstream or an API caller sees. */
  readonly status: number;
  /** Code of the wire protocol (protocol.md 2.3) that an agent sees. */
  readonly wireCode: number;
  readonly source: Source;
  /** Whether the same request may succeed if it is simply sent again a little later. */
  readonly retryable: boolean;
  /** The sentence for the user; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** What to do about it, for docs/errors.md and the refusal page. */
  readonly advice: string;
}

const row = (
  status: number,
  wireCode: number,
  source: Source,
  retryable: boolean,
  message: string,
  advice: string,
): ErrorRow => ({ status, wireCode, source, retryable, message, advice });

/** The table. Order: doorstep, wire, identity, tunnels, streams, HTTP edge, engine, set-up. */
// biome-ignore format: a table is read by its rows
export const ERRORS = {
  // Doorstep: before TLS is up.
  CLIENT_HELLO_MALFORMED: row(400, 2000, 'downstream', false, 'The connection did not begin with a TLS ClientHello.', 'Speak TLS to this port; a proxy that sends PROXY headers must be named in proxy_protocol.trusted.'),
  CLIENT_HELLO_TOO_LARGE: row(400, 2000, 'downstream', false, 'The TLS ClientHello is larger than {limit} bytes.', 'Send a smaller ClientHello: fewer extensions or key shares.'),
  CLIENT_HELLO_TIMEOUT: row(408, 2000, 'downstream', true, 'The TLS handshake did not complete in time.', 'Check the network between the client and the engine, then try again.'),
  PLAIN_HTTP_ON_TLS_PORT: row(400, 2000, 'downstream', false, 'This port speaks HTTPS, but the request came as plain HTTP.', 'Use https:// in the address.'),
  SERVER_NAME_UNKNOWN: row(421, 2000, 'downstream', false, 'No tunnel and no engine answers to the server name of this connection.', 'Check the host name, and that the tunnel is open.'),
  TLS_VERSION_UNSUPPORTED: row(400, 2000, 'downstream', false, 'The connection offers no TLS version that is allowed here.', 'Use TLS 1.3 for agents, and at least the configured minimum for published services.'),
  ALPN_UNSUPPORTED: row(400, 2000, 'downstream', false, 'The connection offers no application protocol (ALPN) of this name.', 'Make the client offer one of the protocols in tls_alpns of the tunnel.'),
  POST_QUANTUM_REQUIRED: row(400, 2000, 'downstream', false, 'The connection offers no post-quantum key exchange (X25519MLKEM768), which is required here.', 'Update the client, or its TLS library; the operator can set tls.post_quantum to prefer.'),
  TLS_HANDSHAKE_FAILED: row(400, 2000, 'downstream', false, 'The TLS handshake failed: {reason}.', 'Check that the client trusts the certificate authority of the engine and speaks a protocol (ALPN) that this name offers.'),
  CONNECTION_LIMIT: row(503, 7000, 'engine', true, 'The engine has reached its limit of {limit} connections.', 'Try again later; the operator can raise limits.connections.'),

  HANDSHAKE_LIMIT: row(503, 7000, 'engine', true, 'More than {limit} connections are about to set up TLS.', 'Try again a little later; a flood of connections or too little CPU is behind it.'),
  SOURCE_CONNECTION_LIMIT: row(429, 7000, 'downstream', true, 'One source has reached its limit of {limit} connections.', 'Close connections that are not needed; the operator can raise limits.connections_per_source, or name a proxy in proxy_protocol.trusted.'),
  SOURCE_RATE_LIMIT: row(429, 7000, 'downstream', true, 'One source opens more than {limit} connections a second.', 'Use connections for more than one request; the operator can raise limits.connection_rate_per_source, or name a proxy in proxy_protocol.trusted.'),
  PROXY_HEADER_MALFORMED: row(400, 2000, 'operator', false, 'A connection from a trusted proxy has no valid PROXY header: {problem}.', 'Make the proxy send PROXY protocol version 1 or 2, or remove its address from proxy_protocol.trusted.'),
  PROXY_HEADER_TIMEOUT: row(408, 2000, 'operator', true, 'A connection from a trusted proxy did not send its PROXY header in time.', 'Make the proxy send the PROXY protocol at once, or remove its address from proxy_protocol.trusted.'),

  // Wire: frames and messages.
  FRAME_TOO_LARGE: row(400, 2000, 'agent', false, 'A frame is larger than {limit} bytes.', 'Update the agent; the protocol allows no larger frame.'),
  FRAME_MALFORMED: row(400, 2000, 'agent', false, 'A frame does not hold a valid message.', 'Update the agent, and check that nothing between it and the engine changes bytes.'),
  FIRST_MESSAGE_UNEXPECTED: row(400, 2000, 'agent', false, 'The first message of an agent connection must open a control channel, answer a dial request or dial a tunnel.', 'Update the agent.'),
  MESSAGE_UNEXPECTED: row(400, 2000, 'agent', false, 'A message of kind {kind} has no meaning in this state.', 'Update the agent.'),
  HANDSHAKE_TIMEOUT: row(408, 6000, 'agent', true, 'The agent connection sent no first message in time.', 'Check the network between the agent and the engine.'),
  PROTOCOL_VERSION_MISSING: row(400, 2010, 'agent', false, 'The agent sent no protocol version.', 'Update the agent.'),
  PROTOCOL_VERSION_INVALID: row(400, 2020, 'agent', false, 'The protocol version of the agent is not of the form MAJOR.MINOR.PATCH.', 'Update the agent.'),
  PROTOCOL_VERSION_INCOMPATIBLE: row(400, 2030, 'agent', false, 'This engine speaks protocol 1.x, the agent speaks {version}.', 'Use an agent that speaks protocol 1.x.'),
  LIVENESS_INVALID: row(400, 2000, 'agent', false, 'The heartbeat interval must lie between {min} and {max} milliseconds.', 'Configure the agent with an interval inside these bounds.'),
  HEARTBEAT_TIMEOUT: row(408, 6000, 'agent', true, 'The agent was silent for {silenceMs} milliseconds and is taken for gone.', 'Check the network between the agent and the engine; agents reconnect by themselves.'),
  CHANNEL_OVERFLOW: row(429, 7000, 'agent', true, 'The agent does not read the messages that the engine sends.', 'Check the agent; it reconnects by itself.'),

  // Identity.
  TOKEN_MISSING: row(401, 1000, 'downstream', false, 'No token was given.', 'Send a token; `rstream-engine-ce token create` makes one.'),
  TOKEN_IN_URL: row(401, 1000, 'downstream', false, 'A token in the URL is not accepted here.', 'Send it in the header `Authorization: Bearer`.'),
  TOKEN_INVALID: row(401, 1000, 'downstream', false, 'The token is not valid on this engine.', 'Check that the whole token was copied and that this engine issued it.'),
  TOKEN_EXPIRED: row(401, 1000, 'downstream', false, 'The token has expired.', 'Create a new token.'),
  TOKEN_REVOKED: row(401, 1000, 'downstream', false, 'The token has been revoked.', 'Create a new token.'),
  CLIENT_CERTIFICATE_UNKNOWN: row(401, 1000, 'downstream', false, 'The client certificate is not registered on this engine.', 'Register it with `rstream-engine-ce cert add`, or make one with `cert issue-client`.'),
  CLIENT_CERTIFICATE_EXPIRED: row(401, 1000, 'downstream', false, 'The client certificate has expired.', 'Make a new one with `rstream-engine-ce cert issue-client`.'),
  CLIENT_CERTIFICATE_REVOKED: row(401, 1000, 'downstream', false, 'The client certificate has been revoked.', 'Make a new one with `rstream-engine-ce cert issue-client`.'),
  CLIENT_CERTIFICATE_MISSING: row(401, 1000, 'downstream', false, 'No client certificate was shown.', 'Show a client certificate that is registered on this engine.'),
  AMBIGUOUS_PROOF: row(401, 1000, 'downstream', false, 'More than one proof was given at once (ambiguous_proof).', 'Send one of them: a token in the header, a token in the URL, or a client certificate.'),
  AUTHENTICATION_THROTTLED: row(429, 7000, 'downstream', true, 'Too many bad proofs came from this address; others are looked at again in {retrySeconds} seconds.', 'Wait, and correct the client that sends the wrong token or certificate.'),
  PERMISSION_MISSING: row(403, 1000, 'downstream', false, 'The credential lacks the permission {permission}.', 'Use a credential that has this permission.'),
  BOUNDARIES_NOT_ENFORCED: row(403, 1000, 'downstream', false, 'The token carries resource boundaries that the Community Edition cannot enforce (boundaries_not_enforced).', 'Use a token without create or connect boundaries, projects, workspaces or paths.'),

  // Tunnels.
  PROPERTIES_INVALID: row(400, 2000, 'agent', false, 'The tunnel was refused: {problem}.', 'Change the property that is named and open the tunnel again.'),
  HOSTNAME_INVALID: row(400, 2000, 'agent', false, 'The hostname {hostname} is outside this engine: ask for a single label or <label>.{suffix}.', 'Ask for a bare label; the engine adds its own domain.'),
  PORT_IN_USE: row(409, 8000, 'agent', true, 'TCP port is already in use.', 'Ask for another port or for none, or stop what uses this one.'),
  PORTS_EXHAUSTED: row(503, 7000, 'engine', true, 'Every TCP port from {first} to {last} is in use.', 'Try again later; the operator can widen tcp.port_range.'),
  HOSTNAME_IN_USE: row(409, 8000, 'agent', true, 'Hostname is already in use.', 'Choose another name, or stop the tunnel that uses this one.'),
  TUNNEL_NAME_IN_USE: row(409, 8000, 'agent', true, 'Tunnel name is already in use.', 'Choose another name, or stop the tunnel that uses this one.'),
  FEATURE_NOT_AVAILABLE: row(501, 5000, 'agent', false, '{feature} is not available in this engine.', 'Open the tunnel without this feature.'),
  POLICY_FORBIDS: row(403, 2000, 'agent', false, 'The policy of this engine forbids the tunnel: {problem}.', 'Change the tunnel so that it meets the setting that is named, or ask the operator to change that.'),
  TUNNEL_NOT_FOUND: row(404, 3000, 'downstream', false, 'No tunnel of this name or id is open.', 'Check the name, and that the agent of the tunnel is connected.'),
  TUNNEL_LIMIT: row(429, 7000, 'agent', true, 'The limit of {limit} tunnels is reached.', 'Close tunnels that are not needed; the operator can raise the limit.'),
  SESSION_LIMIT: row(429, 7000, 'engine', true, 'The engine has reached its limit of {limit} agents.', 'Try again later; the operator can raise the limit.'),

  // Streams.
  AGENT_GONE: row(503, 6000, 'agent', true, 'The agent behind this tunnel is not connected.', 'Wait until the agent has reconnected, then try again.'),
  DIAL_BACK_REFUSED: row(502, 6000, 'agent', true, 'The agent could not reach the service behind this tunnel.', 'Check that the service runs and that the agent points at its port.'),
  DIAL_BACK_TIMEOUT: row(504, 6000, 'agent', true, 'The agent did not answer within {seconds} seconds.', 'Check the load and the network of the agent, then try again.'),
  DIAL_QUEUE_FULL: row(503, 7000, 'agent', true, 'Too many connections wait for the agent of this tunnel.', 'Try again a little later.'),
  STREAM_UNKNOWN: row(400, 4000, 'agent', false, 'No dial request waits for this stream.', 'The downstream went away first, or the stream was answered already; nothing to do.'),
  STREAM_SECRET_INVALID: row(403, 4000, 'agent', false, 'The secret of this stream is wrong.', 'Update the agent; it must echo the secret of the dial request.'),
  STREAM_IDLE: row(504, 6000, 'downstream', true, 'The stream carried nothing for {seconds} seconds and was closed.', 'Send keep-alive traffic, or raise the idle time-out.'),

  // HTTP edge.
  REQUEST_MALFORMED: row(400, 2000, 'downstream', false, 'The request is not valid HTTP: {problem}.', 'Correct the client that sent it.'),
  REQUEST_HEAD_TOO_LARGE: row(431, 2000, 'downstream', false, 'The request head is larger than {limit} bytes.', 'Send fewer or smaller headers and cookies.'),
  REQUEST_TIMEOUT: row(408, 6000, 'downstream', true, 'The request did not arrive in time.', 'Check the network and send the request again.'),
  REQUEST_ABORTED: row(499, 6000, 'downstream', false, 'The downstream went away before the answer was complete.', 'Nothing to do.'),
  HTTP_VERSION_UNSUPPORTED: row(505, 2000, 'downstream', false, 'This HTTP version is not supported.', 'Use HTTP/1.1.'),
  METHOD_NOT_SUPPORTED: row(501, 2000, 'downstream', false, 'The method {method} is not supported here.', 'Use another method.'),
  PROTOCOL_NOT_SUPPORTED: row(501, 2000, 'downstream', false, 'The :protocol that the CONNECT asks for is not supported here.', 'Use another protocol, such as websocket.'),
  EXPECTATION_FAILED: row(417, 2000, 'downstream', false, 'The Expect header asks for something unknown.', 'Send `Expect: 100-continue` or no Expect header.'),
  HOST_UNKNOWN: row(404, 3000, 'downstream', false, 'No tunnel is open at this address.', 'Check the address, and that the agent publishes it.'),
  ADDRESS_FORBIDDEN: row(403, 1000, 'downstream', false, 'Access from your address is not allowed.', 'Connect from a network that the owner of this service trusts.'),
  COUNTRY_FORBIDDEN: row(403, 1000, 'downstream', false, 'Access from your location is not allowed.', 'Ask the owner of this service.'),
  TLS_FORBIDDEN: row(403, 1000, 'downstream', false, 'The encryption of this connection is too weak for this service.', 'Use a current client.'),
  TUNNEL_FORBIDDEN: row(403, 1000, 'agent', false, 'The policy of this engine no longer allows this tunnel.', 'The operator has changed the policy: change the tunnel and open it again.'),
  CHALLENGE_UNKNOWN: row(404, 3000, 'downstream', false, 'No ACME challenge of this name is open.', 'Nothing to do: certificate authorities ask for these, and this engine orders no certificate now.'),
  MISDIRECTED_REQUEST: row(421, 2000, 'downstream', true, 'Misdirected Request: this connection may not carry requests for that host.', 'Open a new connection for this host.'),
  UPSTREAM_CLOSED: row(502, 6000, 'upstream', true, 'The service behind this tunnel closed the connection without an answer.', 'Check the logs of the service.'),
  UPSTREAM_MALFORMED: row(502, 6000, 'upstream', false, 'The service behind this tunnel did not answer with valid HTTP.', 'Check that the tunnel points at an HTTP service, not at an HTTPS one.'),
  UPSTREAM_HEAD_TOO_LARGE: row(502, 6000, 'upstream', false, 'The response head of the service is larger than {limit} bytes.', 'Make the service send fewer or smaller headers.'),
  UPSTREAM_TLS_FAILED: row(502, 6000, 'upstream', false, 'The service behind this tunnel did not complete TLS: {reason}.', 'Check that the service speaks TLS; with upstream.verify on, that its certificate is trusted.'),
  REQUEST_BODY_TOO_LARGE: row(413, 2000, 'downstream', false, 'The request body is larger than {limit} bytes.', 'Send a smaller body; the operator can raise limits.request_body_bytes.'),
  REQUEST_LIMIT: row(503, 7000, 'engine', true, 'Too many requests run through this tunnel.', 'Try again a little later; the operator can raise limits.requests_per_tunnel.'),
  UPSTREAM_TIMEOUT: row(504, 6000, 'upstream', true, 'The service behind this tunnel did not answer within {seconds} seconds.', 'Check the load of the service; the operator can raise the time-out.'),

  // Engine and its API.
  ENGINE_DRAINING: row(503, 6000, 'engine', true, 'The engine is shutting down and takes no new work.', 'Try again in a moment.'),
  PARAMS_INVALID: row(400, 2000, 'downstream', false, 'The query parameter params is not valid: {problem}.', 'Send URL-encoded JSON of the documented shape.'),
  PATH_UNKNOWN: row(404, 2000, 'downstream', false, 'The Engine API has no such path.', 'See /api/openapi.json for the paths that exist.'),
  UPGRADE_REQUIRED: row(426, 2000, 'downstream', false, 'This path is for WebSocket.', 'Open a WebSocket over HTTP/1.1, or use /api/sse.'),
  WATCHER_LIMIT: row(503, 7000, 'engine', true, 'The engine has reached its limit of {limit} watchers.', 'Try again later, or end watchers that are not needed.'),
  WATCHER_SLOW: row(503, 7000, 'downstream', true, 'The watcher did not read fast enough: {queuedCount} events were waiting for it.', 'Watch again: the first event holds all that is open. Filters make it fewer events.'),
  METHOD_NOT_ALLOWED: row(405, 2000, 'downstream', false, 'The Engine API answers GET only.', 'Use GET.'),
  ADMIN_PATH_UNKNOWN: row(404, 2000, 'downstream', false, 'The Admin API has no such path.', 'See /api/admin/openapi.json for the paths that exist.'),
  ADMIN_METHOD_NOT_ALLOWED: row(405, 2000, 'downstream', false, 'The Admin API does not answer this method here.', 'See /api/admin/openapi.json for the methods that exist.'),
  ADMIN_HOST_UNKNOWN: row(421, 2000, 'downstream', false, 'The admin page is not served under this host name.', 'Use an address that the engine prints, or name this one in admin.hosts.'),
  ORIGIN_FORBIDDEN: row(403, 1000, 'downstream', false, 'The request comes from another web site.', 'Open the admin page itself; a program sends no Origin and a bearer token.'),
  ADMIN_REQUEST_INVALID: row(400, 2000, 'downstream', false, 'The request is not valid: {problem}.', 'Send JSON of the documented shape, with content-type application/json.'),
  ADMIN_BODY_TOO_LARGE: row(413, 2000, 'downstream', false, 'The request body is larger than {limit} bytes.', 'Send less.'),
  VERSION_MISSING: row(428, 2000, 'downstream', false, 'The change names no version of what it changes.', 'Send the etag that was read as If-Match.'),
  VERSION_OUTDATED: row(412, 2000, 'downstream', false, 'It was changed meanwhile.', 'Read it again, and decide again.'),
  LOGIN_INVALID: row(401, 1000, 'downstream', false, 'The name, the password or the code is wrong.', 'Try again; `rstream-engine-ce admin link` makes a one-time link that sets a new password.'),
  LOGIN_LINK_INVALID: row(401, 1000, 'downstream', false, 'This link was used already, has expired, or was never made.', 'Make a new one with `rstream-engine-ce admin link`.'),
  LOGIN_THROTTLED: row(429, 7000, 'downstream', true, 'Too many failed logins: try again in {retrySeconds} seconds.', 'Wait; a one-time link (`rstream-engine-ce admin link`) does not wait for other people.'),
  LOGIN_CODE_MISSING: row(401, 1000, 'downstream', false, 'This account needs a code of its authenticator app as well.', 'Send the code; `rstream-engine-ce admin link` helps where the app is lost.'),
  LOGIN_REQUIRED: row(401, 1000, 'downstream', false, 'Nobody is logged in.', 'Log in, or send a token with the permission engine.admin.'),
  SESSION_ENDED: row(401, 1000, 'downstream', false, 'The session has ended.', 'Log in again.'),
  ROLE_MISSING: row(403, 1000, 'downstream', false, 'This needs the role admin.', 'Ask somebody who has it.'),
  ROLE_CHANGED: row(403, 1000, 'downstream', true, 'The role of this admin has changed.', 'Connect again: what is allowed is another.'),
  RECORDS_OFF: row(409, 2000, 'operator', false, 'This engine keeps no records.', 'Set records.enabled and start it again.'),
  RECORD_UNKNOWN: row(404, 2000, 'downstream', false, 'There is no such record, or no longer.', 'Search again: the oldest records are removed.'),
  RECORDS_BUSY: row(429, 7000, 'downstream', true, 'Other searches are running.', 'Try again in some seconds.'),
  POLICY_DRAFT_INVALID: row(400, 2000, 'operator', false, 'The draft has faults:\n{faults}', 'Correct what is named.'),
  CONFIG_NOT_WRITABLE: row(409, 2000, 'operator', false, 'The configuration cannot be written from here: {problem}.', 'Change the file by other means and send the engine SIGHUP.'),
  ADMIN_INVALID: row(400, 2000, 'operator', false, 'That was not done: {problem}.', 'Correct what is named.'),
  ADMIN_NOT_FOUND: row(404, 2000, 'operator', false, 'There is no admin {name}.', 'See `rstream-engine-ce admin list`.'),
  SESSION_UNKNOWN: row(404, 2000, 'downstream', false, 'There is no such session.', 'It has ended already; nothing to do.'),
  INSPECTOR_DISABLED: row(409, 2000, 'operator', false, 'The inspector is off on this engine.', 'Set inspector.enabled in the configuration and restart the engine.'),
  NOT_INSPECTED: row(404, 3000, 'downstream', false, 'Nothing is captured of this tunnel.', 'Start the inspection of the tunnel; what it captured before is gone when it was stopped, or the tunnel opened anew.'),
  EXCHANGE_UNKNOWN: row(404, 3000, 'downstream', false, 'There is no captured exchange of this id.', 'It has made room for a newer one; list what there is.'),
  REPLAY_IMPOSSIBLE: row(409, 2000, 'operator', false, 'This request cannot be sent again: {problem}.', 'Choose another exchange, or correct what is named.'),
  AGENT_UNKNOWN: row(404, 3000, 'downstream', false, 'No agent of this id is connected.', 'It has gone already; nothing to do.'),
  CLOSED_BY_ADMIN: row(503, 6000, 'operator', true, 'An admin of this engine has ended the connection.', 'The agent reconnects by itself; the operator revokes its credential to keep it out.'),
  LOCAL_CA_UNAVAILABLE: row(409, 2000, 'operator', false, 'The local CA cannot sign: {problem}.', 'Check admin.ca_cert_file and admin.ca_key_file, or make the certificate elsewhere and add it.'),
  DOWNLOAD_UNKNOWN: row(404, 3000, 'downstream', false, 'This download was fetched already or has expired.', 'Issue the certificate again.'),
  WEBHOOK_INVALID: row(400, 2000, 'operator', false, 'The webhook was not made or changed: {problem}.', 'Correct what is named.'),
  WEBHOOK_NOT_FOUND: row(404, 3000, 'downstream', false, 'There is no such webhook.', 'It has been removed already; nothing to do.'),
  WEBHOOK_CONFIGURED: row(409, 2000, 'downstream', false, 'This webhook stands in the configuration.', 'Change webhooks.endpoints there and restart the engine; here it can be switched on and off.'),
  WEBHOOK_LIMIT: row(409, 2000, 'downstream', false, 'There are {limit} webhooks already.', 'Remove one that is not needed.'),
  WEBHOOK_BUSY: row(429, 7000, 'downstream', true, 'A test of this webhook is under way.', 'Wait for its answer.'),
  WEBHOOK_DELIVERY_UNKNOWN: row(404, 3000, 'downstream', false, 'There is no such delivery.', 'It has left the log; nothing to do.'),
  WEBHOOK_ADDRESS_FORBIDDEN: row(502, 6000, 'operator', false, 'The receiver has an address that webhooks are not sent to.', 'Give the receiver a public address and https, or set webhooks.allow_private; plain http is for loopback only.'),
  WEBHOOK_HOST_UNKNOWN: row(502, 6000, 'operator', true, 'The name of the receiver has no address: {reason}.', 'Check the name in the URL, and the resolver of this machine.'),
  WEBHOOK_UNREACHABLE: row(502, 6000, 'upstream', true, 'The receiver cannot be reached: {reason}.', 'Check that the receiver runs and that this machine may connect to it.'),
  WEBHOOK_TLS_FAILED: row(502, 6000, 'upstream', true, 'The certificate of the receiver was not accepted: {reason}.', 'Give the receiver a certificate for its name; an authority of your own goes into the file that NODE_EXTRA_CA_CERTS names.'),
  WEBHOOK_TIMEOUT: row(504, 6000, 'upstream', true, 'The receiver did not answer within {seconds} seconds.', 'Make the receiver answer first and work afterwards.'),
  WEBHOOK_REFUSED: row(502, 6000, 'upstream', true, 'The receiver answered {status}.', 'Make the receiver answer 2xx; redirects are not followed.'),
  PAGE_NOT_BUILT: row(503, 9000, 'operator', false, 'The admin page was not built.', 'Run `node scripts/build-page.mjs` in the directory of the engine; the Admin API works without it.'),
  INTERNAL: row(500, 9000, 'engine', true, 'The engine failed.', 'Look for the error id in the log of the engine and report it.'),

  // Built-in agent: what it says of the engine, and to it.
  ENGINE_UNREACHABLE: row(503, 6000, 'engine', true, 'The engine at {address} cannot be reached: {reason}.', 'Check the address, the network between agent and engine, and the CA file.'),
  ENGINE_PROTOCOL: row(502, 6000, 'engine', true, 'The engine does not keep to the protocol: {problem}.', 'Check that the address is that of an rstream engine; update the engine or the agent.'),
  ENGINE_SILENT: row(504, 6000, 'engine', true, 'The engine was silent for {silenceMs} milliseconds and is taken for gone.', 'Check the network between agent and engine; the agent reconnects by itself.'),
  ENGINE_CLOSED: row(503, 6000, 'engine', true, 'The engine closed the {what}.', 'Nothing to do: the agent reconnects by itself.'),
  ENGINE_REFUSED: row(403, 2000, 'operator', false, 'The engine refused: {sentence}', 'Correct what the sentence names and start the agent again.'),
  ENGINE_BUSY: row(503, 6000, 'engine', true, 'The engine refused for now: {sentence}', 'Wait: the agent tries again by itself.'),
  UPSTREAM_UNREACHABLE: row(502, 6000, 'upstream', true, 'The service behind this tunnel cannot be reached: {reason}.', 'Check that the service runs and that the agent points at its port.'),
  AGENT_BUSY: row(503, 6000, 'agent', true, 'The agent has reached its limit of {limit} streams.', 'Try again a little later, or run another agent.'),

  // Set-up: what an operator sees on the command line.
  CONFIG_INVALID: row(500, 2000, 'operator', false, 'The configuration has faults:\n{faults}', 'Correct the lines that are named; `rstream-engine-ce check-config` checks again.'),
  CONFIG_NOT_FOUND: row(500, 2000, 'operator', false, 'There is no configuration at {path}.', 'Make one with `rstream-engine-ce init`, or name another by --config.'),
  ALREADY_INITIALIZED: row(409, 2000, 'operator', false, '{path} exists already and is not overwritten.', 'Choose another --dir, or remove it first.'),
  ADDRESS_IN_USE: row(500, 2000, 'operator', false, 'The address {address} of {setting} is in use by another program.', 'Stop that program, or change the setting that is named.'),
  ADDRESS_UNAVAILABLE: row(500, 2000, 'operator', false, 'Nothing can listen on the address {address} of {setting} ({reason}).', 'Correct the setting that is named, or run with the right to use this port.'),
  CERTIFICATE_INVALID: row(500, 2000, 'operator', false, 'The certificate cannot be used: {problem}.', 'Check the files of certs.static.'),
  CERTIFICATE_FILES_FIXED: row(409, 2000, 'operator', false, 'The certificate files cannot be replaced: {problem}.', 'Let the engine write to the files and their directory, or replace them yourself where they come from; the engine reads them again.'),
  SERVER_CERTIFICATE_REFUSED: row(409, 2000, 'operator', false, 'The certificate was not taken, and the present one stays: {problem}.', 'Correct what is named; POST /api/admin/server-certificates/check lists all that is found.'),
  SERVER_CERTIFICATE_UNKNOWN: row(404, 2000, 'operator', false, 'There is no server certificate number {index}.', 'See GET /api/admin/server-certificates for those that there are.'),
  POST_QUANTUM_UNAVAILABLE: row(500, 2000, 'operator', false, 'Post-quantum key exchange is required, but Node {node} with OpenSSL {openssl} has no X25519MLKEM768.', 'Run the engine on a Node with OpenSSL 3.5 or later, or set tls.post_quantum to prefer and policy.post_quantum to optional.'),
  GEOIP_DATABASE_INVALID: row(500, 2000, 'operator', false, 'The GeoIP database cannot be used: {problem}.', 'Check geoip.database: it must be a MaxMind file (.mmdb) that knows countries, such as GeoLite2-Country.'),
  STORE_UNAVAILABLE: row(500, 9000, 'operator', false, 'The database {path} cannot be used: {problem}.', 'Check the path, its owner and the free space of the disk; `rstream-engine-ce restore` brings a damaged one back from a backup.'),
  STORE_TOO_NEW: row(500, 9000, 'operator', false, 'The database {path} was written by a newer engine (schema {found}, this engine knows {known}).', 'Use that newer engine, or restore a backup.'),
  ADDON_UNAVAILABLE: row(500, 9000, 'operator', false, 'A native part of the engine cannot be loaded from {directory}: {reason}.', 'Set TMPDIR to a directory in which this user may make files and run programs.'),
  DOCTOR_FOUND: row(500, 9000, 'operator', false, 'The engine has {count} faults.', 'Correct what the lines that begin with fault say.'),
  BACKUP_INVALID: row(400, 2000, 'operator', false, 'The backup {path} cannot be used: {problem}.', 'Check the file and its passphrase (--passphrase-file), or use an older backup.'),
  BACKUP_BUSY: row(429, 7000, 'downstream', true, 'A backup is being made or downloaded already.', 'Wait until it is done.'),
  BACKUP_TOO_LARGE: row(409, 2000, 'operator', false, 'The files of this engine are larger than {limit} bytes, which is too much for a download.', 'Use `rstream-engine-ce backup` on the machine of the engine.'),
  BACKUP_UNAVAILABLE: row(409, 2000, 'operator', false, 'This engine was not started from a configuration file, which a backup needs.', 'Start it with --config.'),
  BACKUP_FAILED: row(500, 9000, 'operator', false, '{path} could not be read or written: {problem}.', 'Check the path, its owner and the free space of the disk.'),
  CREDENTIAL_NOT_FOUND: row(404, 2000, 'operator', false, 'No credential of this kind has the id or name {id}.', 'See `rstream-engine-ce token list`, `app list` and `cert list`.'),
  CREDENTIAL_INVALID: row(400, 2000, 'operator', false, 'The credential was not made or changed: {problem}.', 'Correct what is named.'),
  KEY_NOT_ROTATABLE: row(409, 2000, 'operator', false, 'The signing key comes from the environment and is not rotated here.', 'Set another key there; all tokens of the old one end with it.'),
  AUDIT_BROKEN: row(500, 9000, 'operator', false, 'The audit log is not what the engine wrote: {problem}.', 'Keep the file as it is, find out who wrote to it, and compare with a backup.'),
  USAGE: row(400, 2000, 'operator', false, '{problem}.', 'See `rstream-engine-ce help`.'),
} as const satisfies Record<string, ErrorRow>;

/** A key of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Values that a message may name; never secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** A failure from the table. Thrown only through {@link fail}. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  #errorId: string | undefined;

  constructor(code: ErrorCode, details: ErrorDetails, cause: unknown) {
    super(interpolate(ERRORS[code].message, details), cause === undefined ? undefined : { cause });
    this.code = code;
    this.details = details;
  }

  /** Joins what the peer is shown to the line in the log. */
  get errorId(): string {
    this.#errorId ??= newErrorId();
    return this.#errorId;
  }

  /** The table row of this code. */
  get row(): ErrorRow {
    return ERRORS[this.code];
  }
}

/**
 * Makes the error of a code; the caller throws or passes it on.
 * @param details fill the `{name}` places of the message and go to the log
 * @param cause what was caught, for the log only
 */
export const fail = (code: ErrorCode, details: ErrorDetails = {}, cause?: unknown): EngineError =>
  new EngineError(code, details, cause);

/** Whatever was thrown, as an error of the table; what is not from the table is a bug and becomes INTERNAL. */
export const engineErrorFrom = (thrown: unknown): EngineError =>
  thrown instanceof EngineError ? thrown : fail('INTERNAL', {}, thrown);

const interpolate = (template: string, details: ErrorDetails): string =>
  template.replace(/\{(\w+)\}/g, (place, name: string) => String(details[name] ?? place));
