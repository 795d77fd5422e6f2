/**
 * Every bound that is not a config row, with its unit and its reason.
 *
 * Invariant: no other file holds a bound. What an operator may need to change lives in config/schema.ts instead.
 */
export const LIMITS = {
  /** Bytes of a ClientHello, records included. A post-quantum hello is about 1,800; RFC 8446 allows 16 KiB a record. */
  clientHelloBytesMax: 16_384,
  /** From accept to the end of the TLS handshake. Slow mobile links need three round trips of up to a second. */
  tlsHandshakeMsMax: 10_000,
  /** A PROXY header of version 1, its line end included: the longest that the specification allows. */
  proxyLineBytesMax: 107,
  /** A PROXY header of version 2 in whole: 216 bytes of addresses at most, and then notes of the proxy, which may hold a certificate. */
  proxyHeaderBytesMax: 4_096,
  /** Connections whose TLS is not up yet. A core finishes some thousand a second, so the last of them is still served before its client
   * loses patience; with more, all of them would wait in vain. */
  handshakesMax: 4_096,
  /** With no place left, a handshake that has taken this long yields to a new connection: who stalls cannot keep others out. */
  handshakeYieldMs: 2_000,
  /** A source may open as many connections at once as it may open in this time, in seconds: a fleet of agents that comes back. */
  sourceBurstSeconds: 5,
  /** Sources without a connection that are remembered, until they may open a whole burst again; an entry is about 150 bytes. */
  idleSourcesMax: 16_384,
  /** A peer that was refused gets this long to read why: one round trip on a slow mobile link. */
  refusalLingerMsMax: 2_000,
  /** Lines about connections dropped for one reason come at most this often: at a limit there may be thousands of them a second. */
  connectionLimitLogMs: 1_000,
  /** The certificate files are looked at this often at most: two stat calls a second cost nothing. */
  certificateCheckMs: 1_000,
  /** Certificates in one file: a real chain has two to four. */
  certificateChainMax: 16,
  /** Server certificates of an engine: two or three kinds of key, and some names of their own. */
  certificatePairsMax: 8,
  /** Time before its end at which a server certificate is told of once a day: long enough to notice and to order another. */
  certificateWarningMs: 21 * 86_400_000,
  /** Expiry and renewal are looked at this often; also the first wait after an attempt to renew, which doubles up to the second bound. */
  certificateUpkeepMs: 3_600_000,
  certificateRenewalWaitMsMax: 86_400_000,
  /** A handshake of the engine with itself on loopback, by which an uploaded certificate is proven. */
  certificateProofMsMax: 5_000,
  /** The configuration file is looked at this often, and read when it was the same twice: who saves it waits two seconds at most. */
  configCheckMs: 1_000,
  /** The GeoIP database is looked at this often: a stat call a second costs nothing. */
  geoipCheckMs: 1_000,
  /** Bytes of a backup that are sealed and held at once. */
  archiveRecordBytes: 65_536,
  /** A line in a backup: a path of 4,096 bytes (PATH_MAX), twice that when escaped, and its sum. */
  archiveLineBytesMax: 16_384,
  /** Files in a backup: configuration, keys and databases are ten. */
  backupFilesMax: 100,
  /** Characters of its passphrase: each guess costs half a second. */
  backupPassphraseCharsMin: 12,
  /** Bytes of the files in a backup that is made for a download: it is made and sent within apiAnswerMsMax, which takes 5 MB a second. */
  backupDownloadBytesMax: 268_435_456,
  /** TLS policies of published names that are ready at the same time: a context of OpenSSL is about 100 KiB. */
  tlsPoliciesMax: 128,
  /** Age at which the key that seals session tickets is replaced. Tickets are good for five minutes, so few are lost with it. */
  ticketKeyMs: 3_600_000,

  /** Payload of one frame (protocol.md 1): every SDK drops a peer that sends more. */
  frameBytesMax: 65_535,
  /** From the end of the TLS handshake to the first message of an agent; the clients' own connect time-out is 15 s. */
  firstMessageMsMax: 15_000,
  /** Unsent bytes on a control channel before its agent is dropped: 256 dial requests of at most 4 KiB each. */
  channelQueuedBytesMax: 1_048_576,
  /** Heartbeat intervals that clients may ask for (protocol.md 4.1). */
  heartbeatMsMin: 1_000,
  heartbeatMsMax: 300_000,
  /** Silence that a negotiated channel survives: max(15 s, 3 intervals), at most 15 min (protocol.md 0.1). */
  livenessMsMin: 15_000,
  livenessMsMax: 900_000,
  /** Silence that a legacy channel survives: its longest interval is 5 min, and it may send no heartbeat at all, so TCP
   * keep-alive does the work and this only ends what keep-alive did not. */
  legacySilenceMsMax: 900_000,
  /** First TCP keep-alive probe on agent connections. */
  keepAliveMs: 30_000,
  /** Wait for the old session's dial-back before its name goes to a new session of the same credential. */
  takeoverProbeMs: 2_000,
  /** Silence after which the old session is not probed but replaced, when it negotiated no interval: the clients' default. */
  takeoverSilenceMs: 5_000,
  /** A stopping engine waits this long for its agents to have read the goodbye. */
  goodbyeMsMax: 1_000,
  /** An agent that closes its channel gets this long to read the answer. */
  channelCloseMsMax: 5_000,
  /** Of these, it is left to end the connection first for so long: what it is writing would find a closed one. Below goodbyeMsMax. */
  channelEndPatienceMs: 500,

  /** Dial requests in flight on one control channel (protocol.md 0.1): every client copes with 256. */
  dialRequestsInFlightMax: 128,
  /** Further dial requests that wait for one of these places; beyond it: 7000. */
  dialRequestsQueuedMax: 1_024,

  /** Tunnels of one session, and of the engine. An agent per container host opens some dozens. */
  tunnelsPerSessionMax: 1_000,
  tunnelsMax: 20_000,
  /** Agent sessions of the engine. Each costs a TLS socket: about 60 KiB. */
  sessionsMax: 10_000,
  /** Length of a tunnel name; shown in lists and logs. */
  tunnelNameCharsMax: 253,
  /** Labels of a tunnel: Kubernetes' bounds for value and key length. */
  labelsMax: 64,
  labelKeyCharsMax: 253,
  labelValueCharsMax: 1_024,
  /** Entries in any list property of a tunnel. */
  listEntriesMax: 256,
  /** Characters of any entry in a list property of a tunnel. */
  listEntryCharsMax: 255,
  /** A hostname in whole (RFC 1035: 255 octets on the wire). */
  hostnameCharsMax: 253,
  /** Properties of one tunnel as JSON: its reply must fit in a frame, and lists of thousands of tunnels in memory. */
  propertiesBytesMax: 32_768,
  /** Hostnames whose agent was lost that are remembered, and for how long: a downstream then reads "agent gone" (503), not
   * "unknown" (404). */
  goneHostnamesMax: 1_000,
  goneHostnameMs: 600_000,
  /** Characters of a client detail (agent, version, os ...); longer ones are cut. */
  clientDetailCharsMax: 128,
  /** Characters of a token: a JWT with a long permission list is about 1,500. */
  tokenCharsMax: 8_192,

  /** Bytes of a request head: nginx takes 4 x 8 KiB, Node 16 KiB, and fat cookies exist. */
  requestHeadBytesMax: 32_768,
  /** Bytes of a response head; upstreams are chattier than browsers. */
  responseHeadBytesMax: 65_536,
  /** Header lines of one head. */
  headerLinesMax: 200,
  /** Bytes of one chunk-size line, extensions included. */
  chunkLineBytesMax: 1_024,
  /** Bytes of a trailer section. */
  trailerBytesMax: 8_192,
  /** From the first byte of a request head to its last. */
  requestHeadMsMax: 15_000,
  /** Bytes of pipelined requests that are held while one is being answered. */
  pipelinedBytesMax: 65_536,
  /** Interim (1xx) responses before a final one. */
  interimResponsesMax: 16,
  /** A connection that we closed is read and ignored for this long, so that the peer can still read our last words. */
  lingerMsMax: 5_000,
  /** Exchanges at once on one HTTP/2 connection to an upstream, if it allows as many. */
  http2StreamsMax: 100,
  /** Body bytes that an HTTP/2 peer may send ahead, per stream; four times that per connection. */
  http2WindowBytes: 262_144,
  /** Bytes of a header block that is sent: node:http2 reckons with the worst compression, which makes the largest response head longer. */
  http2HeaderBlockBytesMax: 131_072,
  /** From the last byte on an HTTP/2 connection with streams to a question (SETTINGS), and from that to its end if still nothing moves. */
  http2QuietMsMax: 15_000,
  /** The same while the engine drains: a round trip on a slow mobile link, and the drain is short. */
  http2DrainQuietMsMax: 3_000,
  /** Invalid frames that end an HTTP/2 connection, and streams refused for being too many. */
  http2InvalidFramesMax: 100,
  http2RejectedStreamsMax: 100,
  /** From a dial-back to an upstream that is ready for its first request: TLS and the SETTINGS of HTTP/2. */
  upstreamHandshakeMsMax: 10_000,
  /** Probes of idle tunnels at once, and those through one agent, so that one which stalls does not keep the proof from the others. A raw
   * one takes half a second to a whole one, so 64 are 4,000 tunnels a minute at the least; a dial-back costs some 2 ms. */
  probesMax: 64,
  probesPerAgentMax: 32,
  /** How often due probes are looked for: a look at 10,000 tunnels takes below a millisecond. */
  probeLookMs: 250,
  /** A published HTTP tunnel that has just opened is probed within this time, so that a wrong port of its agent shows at once. */
  firstProbeMsMax: 2_000,
  /** Failures in a row after which a tunnel is down and not only suspect: one may be a service that restarts. */
  probeFailuresMax: 3,
  /** A raw stream that is open after this long proves its upstream; an agent that learns of a refusal late has closed it by then. */
  probeObservationMs: 500,
  /** Body of the answer to a probe; health pages are a few hundred bytes. */
  probeAnswerBytesMax: 65_536,
  /** Lines about tunnels that go down or come back, in each such time: a host that fails may take thousands along. */
  truthLogLinesMax: 20,
  truthLogMs: 10_000,
  /** Streams that a busy tunnel keeps ready for upstreams that end a connection with each answer. */
  warmStreamsPerTunnel: 2,
  /** Idle agent streams of one tunnel; the busiest upstreams answer with fewer connections than that. */
  idleStreamsPerTunnelMax: 256,
  /** The plain HTTP listener: its answers are empty, so a head that Node takes by default is large already, a slow line can send one
   * in that time, and connections live no longer. */
  redirectHeadBytesMax: 16_384,
  redirectRequestMsMax: 10_000,
  redirectConnectionsMax: 1_000,
  /** Unsent bytes towards one peer before its source is paused. */
  writeBufferBytesMax: 65_536,

  /** From taking an Engine API connection to the whole head of its first request: as long as at the edge. */
  apiRequestMsMax: 15_000,
  /** From the end of one Engine API answer to the whole head of the next request on the same connection. */
  apiIdleMsMax: 30_000,
  /** From a request head to the last byte of its answer: 20,000 tunnels are some 20 MiB. */
  apiAnswerMsMax: 60_000,
  /** Watchers of the engine. Each costs a connection, of some 60 KiB, and the time to send it each event. */
  watchersMax: 2_000,
  /** Events that wait for one watcher before it is cut (protocol.md 0.1), and their bytes: 8 KiB an event, where 0.5 KiB is usual. Both are
   * looked at once a turn of the event loop: what happens at once, such as the end of an agent with 1,000 tunnels, cuts nobody. */
  watchQueuedEventsMax: 1_000,
  watchQueuedBytesMax: 8_388_608,
  /** Sign of life to watchers (protocol.md 0.1); proxies take a connection for dead after 60 s at the earliest. */
  watchKeepAliveMs: 15_000,
  /** Silence of a WebSocket after which it is taken for gone: it has left four pings unanswered. */
  watchSilenceMsMax: 60_000,
  /** Bytes of a message from a watcher, which has nothing to say. */
  watchMessageBytesMax: 1_024,
  /** Streams at once on one HTTP/2 connection of the Engine API: what browsers and Go expect at least (RFC 9113 6.5.2). */
  apiStreamsMax: 100,

  /** A password of an admin: NIST SP 800-63B asks for 8 with a second factor and 15 without; hashing more is work for nothing. */
  passwordCharsMin: 12,
  passwordCharsMax: 200,
  /** Passwords that are hashed at once, at 64 MiB each. */
  passwordChecksMax: 4,
  /** Failed logins without a wait, of a source and of an account; then waits double from one second. */
  loginFailuresFree: 5,
  loginAddressWaitMsMax: 900_000,
  /** Short: the owner of an account waits as long when somebody else guesses. */
  loginAccountWaitMsMax: 30_000,
  loginFailuresKeptMs: 3_600_000,
  /** Sources whose failures, or whose logins, are remembered; an entry is about 200 bytes. */
  loginSourcesMax: 4_096,
  /** Life of a one-time link: time to open a browser. */
  adminLinkMs: 900_000,
  /** A session of the admin page ends when nobody used it for this long (a page that only refreshes itself is not used), and after a
   * working day in any case. */
  adminSessionIdleMs: 1_800_000,
  adminSessionMs: 43_200_000,
  /** How exactly the last use of a session is kept. */
  adminSessionTouchMs: 60_000,
  /** Admins, and sessions of them all: they are listed whole. */
  adminsMax: 200,
  adminSessionsMax: 1_000,
  /** Bytes of a request body of the Admin API: a certificate chain in PEM is some 10 KiB. */
  adminBodyBytesMax: 65_536,
  /** Connections on the admin listener: a browser has six, a phone less. */
  adminConnectionsMax: 200,
  /** Pages that are told of changes, one connection each: as many may ask meanwhile. */
  adminWatchersMax: 100,
  /** Changes go to them in one message a turn: what a page draws more often nobody sees. */
  adminLiveTurnMs: 250,
  /** Entries of a page of a list, by default and at most. */
  adminPageDefault: 100,
  adminPageMax: 500,
  /** Bundles that wait for their one download, and for how long; a bundle is some 2 KiB. */
  downloadsMax: 32,
  downloadMs: 600_000,

  /** How long a tunnel is inspected when nobody says, and at most: what is captured are other people's requests. */
  inspectionMsDefault: 900_000,
  inspectionMsMax: 86_400_000,
  /** How long what was captured can be read after its end. */
  inspectionKeptMs: 3_600_000,
  /** Tunnels that are inspected at once. */
  inspectionsMax: 100,
  /** What one captured exchange costs beside its texts and bodies, and each of its texts. */
  inspectionEntryBytes: 1_024,
  inspectionTextBytes: 32,
  /** Replays at once, the whole time for one, and the part of it for which whoever asked is kept waiting for a head. */
  replaysMax: 16,
  replayMsMax: 600_000,
  replayAnswerMsMax: 20_000,

  /** The built-in agent's heartbeat: the clients' default (protocol.md 4.1). */
  agentHeartbeatMs: 5_000,
  /** TCP and TLS towards the engine: the clients' own connect time-out (protocol.md 12.1). */
  engineConnectMsMax: 15_000,
  /** Wait for an answer of the engine: its default dial-back deadline of 30 s and a slow round trip. */
  engineAnswerMsMax: 35_000,
  /** First and longest pause before the built-in agent connects again; the longest is also that of `rstream run`. */
  reconnectMsMin: 1_000,
  reconnectMsMax: 30_000,
  /** TCP from the built-in agent to its upstream, which is near; with engineConnectMsMax still below the dial-back deadline. */
  upstreamConnectMsMax: 10_000,
  /** Dial requests that the built-in agent answers at the same time: twice what the engine has in flight. */
  agentDialsMax: 256,
  /** Streams of the built-in agent, of two sockets each; the usual limit of open files on servers is 65,536 or 1,048,576. */
  agentStreamsMax: 8_192,

  /** `doctor --deep`: an upload that no buffer holds, a silence that ends the connections of most proxies, and the time that each check has:
   * the upload at a slow megabyte a second, and some more. */
  doctorUploadBytes: 100_000_000,
  doctorIdleMs: 60_000,
  doctorDeepMsMax: 180_000,

  /** Records that wait for the database: a burst of four seconds; one is about 1 KiB. */
  recordsQueuedMax: 2_048,
  /** Records that are written at once, and how often: at most 512 a second. A row costs some 15 us, a tenth of the request that it is
   * about; so many of them are below one percent of a core, and a batch stops the event loop for 2 ms. */
  recordsBatchMax: 128,
  recordsFlushMs: 250,
  /** Records that one batch may remove, when there are more than shall be kept. */
  recordsPrunedMax: 1_024,
  /** Pages of 4 KiB that one batch may give back to the disk. */
  recordsVacuumPagesMax: 256,
  /** Wait before records go to a disk again that has failed. */
  recordsRetryMs: 10_000,
  /** Records in one answer of a search. */
  recordsFoundMax: 1_000,
  /** Rows that a search looks at in one go, before others get their turn: 2 to 5 ms. */
  recordsScanRowsMax: 4_096,
  /** A search of the Admin API answers with what it has found by then, and where to go on. */
  recordsSearchMs: 2_000,
  /** Searches, exports and dry runs at once: each takes half a core while it runs. */
  recordsSearchesMax: 3,
  /** Rows of one export; the next goes on where it ended. */
  recordsExportMax: 100_000,
  /** A dry run of the policy replays at most this much of the past, ... */
  policyReplayMs: 604_800_000,
  /** ... this many records, ... */
  policyReplayMax: 200_000,
  /** ... and tells of this many tunnels and sources by name, which is more than anybody reads. */
  policyReplayGroupsMax: 500,
  /** The history of the overview: steps of 10 s for an hour, and of 5 min for a day. */
  historyStepMs: 10_000,
  historyHourSteps: 360,
  historyDaySteps: 288,
  /** Each text of a record that a downstream chose. */
  recordTextCharsMax: 512,
  /** Key exchange groups of a record, of those that a client offers: browsers offer five, OpenSSL about ten. */
  recordedGroupsMax: 16,

  /** Webhooks of an engine; each has at most one request under way. */
  webhooksMax: 32,
  webhookNameCharsMax: 100,
  /** Practice of browsers and servers; an address with a key in it is some hundred. */
  webhookUrlCharsMax: 2_048,
  webhookFiltersMax: 32,
  /** Events that wait to be written, and their bytes: the end of an agent with 1,000 tunnels, four times. */
  webhookEventsQueuedMax: 4_096,
  webhookEventBytesQueuedMax: 8_388_608,
  /** Rows that are written at once, and how often: some 60 us each with their indexes, so a batch stops the event loop for 4 ms. */
  webhookBatchRowsMax: 64,
  webhookFlushMs: 100,
  /** Wait before events go to a disk again that has failed. */
  webhookStoreRetryMs: 60_000,
  /** Deliveries that wait for one receiver: some 10 MiB. */
  webhookDeliveriesWaitingMax: 10_000,
  /** Deliveries that are over and stay in the log, of all webhooks, and for how long. */
  webhookDeliveriesKeptMax: 10_000,
  webhookDeliveriesKeptMs: 2_592_000_000,
  /** Deliveries that expire or leave the log with each batch, which is more than it adds, and how often that is looked at without one. */
  webhookDeliveriesPrunedMax: 512,
  webhookPruneMs: 600_000,
  /** Pages of 4 KiB that are given back to the disk each time. */
  webhookVacuumPagesMax: 1_024,
  /** From the look for the address of a receiver to the end of its answer: receivers are told to answer first and work then. */
  webhookAttemptMsMax: 15_000,
  /** Answers are not looked at; a longer one is cut off. */
  webhookAnswerBytesMax: 16_384,
  webhookAnswerHeadBytesMax: 16_384,
  /** First and longest pause, of full jitter, after a webhook failed: a receiver that is back is found within ten minutes. */
  webhookPauseMsMin: 5_000,
  webhookPauseMsMax: 600_000,
  /** The same for a delivery that fails while others of the webhook arrive. */
  webhookSetbackMsMin: 30_000,
  webhookSetbackMsMax: 3_600_000,
  /** Age at which an event is not sent any more: a weekend. */
  webhookEventMsMax: 259_200_000,
  /** Time without any success after which a webhook is switched off. */
  webhookFailingMsMax: 432_000_000,
  /** How long a replaced secret may still sign beside the new one. */
  webhookSecretGraceMsMax: 604_800_000,
  /** The audit log is asked this often what was done to credentials, where a webhook tells of that: a look costs some 20 us. */
  webhookAuditMs: 1_000,

  /** The metrics listener: scrapers are few, their heads are small, and their connections stay for some scrapes. */
  metricsConnectionsMax: 32,
  metricsHeadBytesMax: 8_192,
  metricsRequestMsMax: 10_000,
  metricsIdleMsMax: 120_000,

  /** Verified tokens that are remembered; an entry is about 300 bytes. */
  tokenCacheMax: 4_096,
  /** Proofs whose end is remembered for that look: more than there are sessions, or each look would ask the store for every one. */
  proofEndsMax: 16_384,
  /** Whether another process changed the credentials is looked at this often: what a revoked one opened ends within a second. It costs
   * some 2 us when nothing changed, and below a millisecond for 10,000 sessions. */
  credentialRecheckMs: 500,
  /** Proofs that were never good which one source may give before it has to pause: a person who mistypes, a fleet with one bad file. */
  badProofsMax: 10,
  /** Time without another bad proof after which a source begins anew. */
  badProofsForgetMs: 600_000,
  /** The pause after one bad proof too many, doubled by each further one up to the second bound: 60 guesses an hour. */
  proofPauseMsMin: 1_000,
  proofPauseMsMax: 60_000,
  /** Sources whose bad proofs are counted; an entry is about 150 bytes, and the one that was bad longest ago yields. */
  badProofSourcesMax: 16_384,
  /** Lifetime of auth and app tokens (protocol.md 9.1). */
  shortTokenSecondsMax: 3_600,
  /** How far ahead of our clock an app token may have been issued (protocol.md 9.1). */
  appTokenAheadMs: 300_000,
  /** Longest time for which a rotated proof stays valid, and a rotated signing key: long enough to visit every machine. */
  rotationGraceMsMax: 2_592_000_000,
  /** Each text of an entry in the audit log; names and ids are shorter. */
  auditTextCharsMax: 200,
  /** Difference between clocks that exp, nbf and iat forgive (protocol.md 0.1). */
  clockSkewMs: 60_000,
  /** Name of a credential; shown in lists. */
  credentialNameCharsMax: 100,
  /** Depth and nodes of the AND/OR tree in a token's resources (protocol.md 9.2); real ones have depth 2 and some ten nodes. */
  resourceDepthMax: 8,
  resourceNodesMax: 64,

  /** Bytes of a configuration file; a full one is about 5 KiB. */
  configBytesMax: 1_048_576,
  /** Characters of the engine's host: 253 of a DNS name (RFC 1035 2.3.4) less a tunnel's label (63) and `.t.` (3). */
  engineHostCharsMax: 187,
  /** Bytes of an HS256 secret: RFC 7518 3.2 asks for a key at least as long as the hash. */
  jwtSecretBytesMin: 32,
} as const;
