/** What is connected, and what the messages of the engine make of it. */

/** What is proved of a tunnel. */
export interface Truth {
  readonly state: 'online' | 'suspect' | 'down';
  readonly last_proof_at?: string;
  readonly how?: 'traffic' | 'probe';
  readonly last_failure?: { readonly at: string; readonly code: string; readonly sentence: string };
}

export interface Tunnel {
  readonly id: string;
  readonly client_id: string;
  readonly credential_id: string;
  readonly name?: string;
  readonly type: string;
  readonly publish: boolean;
  readonly protocol?: string;
  readonly hostname?: string;
  readonly port?: number;
  readonly tls_mode?: string;
  readonly tls_min_version?: string;
  readonly http_version?: string;
  readonly upstream_tls?: boolean;
  readonly token_auth?: boolean;
  readonly mtls_auth?: boolean;
  readonly trusted_ips?: readonly string[];
  readonly geo_ip?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  /** What the agent calls itself. */
  readonly agent?: string;
  /** Where the agent connects from. */
  readonly address?: string;
  readonly creation_date: string;
  /** Absent where the engine does not probe. */
  readonly truth?: Truth;
}

export interface Agent {
  readonly id: string;
  readonly credential_id: string;
  readonly credential_name?: string;
  readonly agent?: string;
  readonly version?: string;
  readonly os?: string;
  readonly arch?: string;
  readonly address: string;
  readonly connected_at: string;
}

export interface Numbers {
  readonly status: 'ready' | 'draining';
  readonly agents: number;
  readonly tunnels: number;
  readonly downstreams: number;
  readonly connections: number;
}

export interface Inventory {
  readonly numbers: Numbers;
  readonly agents: ReadonlyMap<string, Agent>;
  readonly tunnels: ReadonlyMap<string, Tunnel>;
}

/** The word by which the list of tunnels finds those of a state, as it finds labels by `key=value`. */
export const wordOfTruth = (state: Truth['state']): string => `works=${state}`;

interface Changes<Item> {
  readonly came: readonly Item[];
  readonly gone: readonly string[];
}

/** A message of the engine: the state at first, and after it what is different. */
export type Message =
  | {
      readonly type: 'state';
      readonly numbers: Numbers;
      readonly agents: readonly Agent[];
      readonly tunnels: readonly Tunnel[];
    }
  | {
      readonly type: 'change';
      readonly numbers?: Numbers;
      readonly agents?: Changes<Agent>;
      readonly tunnels?: Changes<Tunnel>;
      readonly credentials?: true;
    };

const byId = <Item extends { readonly id: string }>(items: readonly Item[]): ReadonlyMap<string, Item> =>
  new Map(items.map((item) => [item.id, item]));

const changed = <Item extends { readonly id: string }>(
  before: ReadonlyMap<string, Item>,
  changes: Changes<Item> | undefined,
): ReadonlyMap<string, Item> => {
  if (!changes) return before;
  const after = new Map(before);
  for (const item of changes.came) after.set(item.id, item);
  for (const id of changes.gone) after.delete(id);
  return after;
};

/** Undefined when a change comes before any state. */
export const inventoryAfter = (before: Inventory | undefined, message: Message): Inventory | undefined => {
  const { numbers } = message;
  if (message.type === 'state')
    return { numbers: message.numbers, agents: byId(message.agents), tunnels: byId(message.tunnels) };
  return (
    before && {
      numbers: numbers ?? before.numbers,
      agents: changed(before.agents, message.agents),
      tunnels: changed(before.tunnels, message.tunnels),
    }
  );
};
