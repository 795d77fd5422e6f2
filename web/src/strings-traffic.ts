/** The sentences of Records, Policy and the charts; a part of strings.ts. */

export const TRAFFIC = {
  records: {
    columns: ['Ended', 'What', 'How it ended', 'From', 'Took', 'Bytes', ''],
    caption: 'Records',
    search: 'Search',
    clear: 'Clear',
    details: 'Details',
    host: 'Host',
    status: 'Status',
    statusHint: '404 or 4xx',
    reason: 'How it ended',
    reasonHint: 'reset, or a code',
    decision: 'Firewall',
    decisions: { '': 'any', allowed: 'allowed', denied: 'denied' },
    address: 'Address',
    tunnel: 'Tunnel',
    tunnelHint: 'name or id',
    q: 'Text',
    qHint: 'path, error id …',
    from: 'From',
    until: 'Until',
    exportAs: 'Export as',
    exportHint: 'The newest 100,000 that fit.',
    none: 'No record fits.',
    empty: 'Nothing was recorded yet. Each request and stream through a tunnel is, when it is over.',
    searchedBack: 'The search took long and has not looked at everything yet.',
    goOn: 'Search on',
    off: 'This engine keeps no records. Set records.enabled in its configuration and start it again.',
    kinds: { exchange: 'request', stream: 'raw stream', 'private-stream': 'private stream' } as Readonly<
      Record<string, string>
    >,
    link: 'Records',
    yes: 'yes',
    no: 'no',
    close: 'Close',
    groups: {
      request: {
        title: 'Request',
        fields: {
          at: 'Began',
          kind: 'Kind',
          method: 'Method',
          host: 'Host',
          path: 'Path',
          protocol: 'Protocol',
          user_agent: 'User agent',
        },
      },
      outcome: {
        title: 'Outcome',
        fields: {
          status: 'Status',
          reason: 'Ended',
          ended_by: 'Ended by',
          code: 'Code',
          error_id: 'Error id',
          bytes_up: 'Bytes to the upstream',
          bytes_down: 'Bytes to the downstream',
        },
      },
      firewall: {
        title: 'Firewall',
        fields: {
          decision: 'Decision',
          address: 'Address',
          port: 'Port',
          country: 'Country',
          dialer_credential_id: 'Proved to be',
        },
      },
      tls: {
        title: 'TLS',
        fields: {
          tls_version: 'Version',
          cipher: 'Cipher',
          post_quantum: 'Post-quantum',
          offered_groups: 'Groups offered',
          alpn: 'ALPN',
          server_name: 'Server name',
          ja4: 'JA4',
        },
      },
      routing: {
        title: 'Routing',
        fields: {
          tunnel_name: 'Tunnel',
          tunnel_id: 'Tunnel id',
          agent_id: 'Agent',
          credential_id: 'Credential of the agent',
          stream_id: 'Stream',
        },
      },
      timings: {
        title: 'Timings',
        fields: {
          wait_ms: 'Until the agent was there',
          first_byte_ms: 'Until the answer began',
          duration_ms: 'In all',
        },
      },
    },
  },
  policy: {
    intro:
      'Rules of the operator: they bind every published tunnel, besides what each tunnel asks for. Try a draft before it is saved: what it would do to the last week, the open tunnels and what runs now is shown first.',
    settings: {
      require_authentication: 'Publish only tunnels that ask for a token or a client certificate',
      published_protocols: 'Protocols that may be published',
      tls_min_version: 'Lowest TLS version',
      post_quantum: 'Post-quantum key exchange',
      trusted_ips: 'Addresses and ranges that may connect',
      geoip: 'Countries that may connect',
      allow_any: 'Tunnels may ask for ranges of every address (0.0.0.0/0)',
    },
    hints: {
      trusted_ips: 'One a line; empty lets every address in.',
      geoip: 'Two letters each, one a line; empty lets every country in.',
      noGeoip: 'Needs geoip.database in the configuration.',
      restart: 'Comes into force with the next start of the engine.',
      overridden: 'Set by the environment of the engine; it cannot be changed here.',
    },
    tlsVersions: { '': 'as the engine has it', 'tls1.2': 'TLS 1.2', 'tls1.3': 'TLS 1.3' },
    postQuantum: { optional: 'optional', require: 'required' },
    unloaded: (keys: string) =>
      `The configuration file says something else than what is in force: ${keys}. Saving loads the whole file.`,
    readOnly: (problem: string) =>
      `Nothing can be saved from here: ${problem}. A draft can be tried all the same.`,
    tryIt: 'Try the draft',
    trying: 'Trying',
    reset: 'Start again',
    result: 'What the draft would do',
    noChange: 'The draft is what is in force.',
    changes: 'Changes',
    pending: (keys: string) => `With the next start of the engine: ${keys}.`,
    cutOff: 'Who would be cut off',
    admitted: 'Who would be let in',
    noneCut: 'Nobody of the last week.',
    noRecords: 'No records are kept, so the past cannot be tried. Set records.enabled to change that.',
    lookedAt: (count: number, since: string, isCut: boolean) =>
      `${count.toLocaleString()} records since ${since}${isCut ? '; the week has more' : ''}.`,
    lookedAtNone: 'There are no records of the last week.',
    columns: ['Tunnel', 'From', 'Why', 'Records', 'First', 'Last'],
    admittedColumns: ['Tunnel', 'From', 'Records', 'First', 'Last'],
    others: (count: number) => `And ${count.toLocaleString()} records of others.`,
    closedTunnel: 'closed: its own rules are not known',
    tunnels: 'Open tunnels that would let nobody in',
    noTunnels: 'None.',
    tunnelColumns: ['Tunnel', 'Why'],
    connections: 'What runs now and would end',
    noConnections: 'Nothing.',
    connectionColumns: ['Tunnel', 'From', 'Why'],
    yaml: 'For the configuration file',
    save: 'Save and put into force',
    saved: 'Saved, and in force.',
    confirm: 'Save this policy?',
    consequence: (records: number, tunnels: number, connections: number) =>
      [
        connections > 0 && `At once ${counted(connections, 'running connection')} will end.`,
        tunnels > 0 && `${counted(tunnels, 'open tunnel')} will let nobody in any more.`,
        records > 0 &&
          `Of the last week, ${records === 1 ? '1 request or raw stream' : `${records.toLocaleString()} requests or raw streams`} would have been refused.`,
        connections + tunnels + records === 0 &&
          'Nobody of the last week, and nothing that runs, is cut off.',
        'The file as it is now stays beside it as .bak.',
      ]
        .filter(Boolean)
        .join(' '),
  },
  charts: {
    title: 'Traffic',
    range: 'Time',
    ranges: { hour: 'Last hour', day: 'Last day' },
    soon: 'The first numbers come some 20 seconds after the start of the engine.',
    requests: 'Requests a second',
    bytes: 'Bytes a second',
    refused: 'Refusals a second',
    streams: 'Open streams to agents',
    series: {
      requests: 'requests',
      raw_streams: 'raw streams that ended',
      bytes_up: 'to upstreams',
      bytes_down: 'to downstreams',
      refused: 'refused',
      open_streams: 'open',
    },
    sentence: (name: string, now: string, most: string, mean: string) =>
      `${name}: ${now} now, ${most} at most, ${mean} on average.`,
    at: (time: string, values: string) => `${time}: ${values}`,
    refusals: 'Refusals by reason',
    refusalColumns: ['Reason', 'Code', 'How many'],
    noRefusals: 'Nobody was refused.',
    passport: 'Crypto passport of the last day',
    passportColumns: ['What', 'Share', 'How many'],
    passportEmpty: 'No connection yet.',
    passports: {
      tls: {
        title: 'TLS version',
        of: 'of handshakes',
        parts: { tls13: 'TLS 1.3', tls12: 'TLS 1.2' },
      },
      key_exchange: {
        title: 'Key exchange offered',
        of: 'of handshakes',
        parts: { post_quantum_offered: 'post-quantum (X25519MLKEM768)', not_offered: 'classical only' },
      },
      proof: {
        title: 'Proof',
        of: 'of requests and streams',
        parts: { certificate: 'client certificate', token: 'token', none: 'none asked for' },
      },
    },
    health: 'Engine',
    memory: (text: string) => `${text} of memory`,
    busy: (text: string) => `busy ${text} of the time`,
    kept: (kept: number, lost: number) =>
      `${kept.toLocaleString()} records kept since the start${lost > 0 ? `, ${lost.toLocaleString()} lost` : ''}`,
    noRecords: 'no records are kept (records.enabled)',
  },
} as const;

function counted(count: number, noun: string): string {
  return `${count.toLocaleString()} ${noun}${count === 1 ? '' : 's'}`;
}
