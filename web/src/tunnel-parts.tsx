/** What is shown of a tunnel wherever there is one: its address, who gets in, and how to close it. */
import { ask } from './api.ts';
import type { Tunnel } from './inventory.ts';
import { Confirm } from './parts.tsx';
import { CopyButton } from './shown-once.tsx';
import { S } from './strings.ts';

export const shownName = ({ name, hostname, id }: Tunnel): string => name ?? hostname ?? id;

/** Undefined for private tunnels, which agents dial by name. */
export const addressOf = ({ publish, protocol, hostname = '', port }: Tunnel): string | undefined => {
  if (!publish) return undefined;
  const scheme = protocol === 'http' ? 'https' : (protocol ?? 'tls');
  return `${scheme}://${hostname}${port === 443 && scheme === 'https' ? '' : `:${port}`}`;
};

/** The forwarding address, to open where a browser can, and to copy. */
export const Address = ({ tunnel }: { tunnel: Tunnel }) => {
  const address = addressOf(tunnel);
  if (address === undefined) return <span class="quiet">{S.tunnels.byName}</span>;
  return (
    <>
      {/* Only https is a link: what an agent calls its tunnel chooses no scheme. */}
      {tunnel.protocol === 'http' ? (
        <a class="mono" href={address} target="_blank" rel="noreferrer noopener">
          {address}
        </a>
      ) : (
        <span class="mono">{address}</span>
      )}
      <CopyButton text={address} of={address} />
    </>
  );
};

/** What a downstream has to have; nothing is said to be protected that is not. */
const protectionsOf = (tunnel: Tunnel): string[] => [
  ...(tunnel.token_auth ? [S.tunnels.tokenAuth] : []),
  ...(tunnel.mtls_auth ? [S.tunnels.mtls] : []),
  ...(tunnel.trusted_ips?.length ? [S.tunnels.addresses] : []),
  ...(tunnel.geo_ip?.length ? [S.tunnels.countries] : []),
];

export const Protections = ({ tunnel }: { tunnel: Tunnel }) => {
  if (!tunnel.publish) return <span class="chip good">{S.tunnels.private}</span>;
  const all = protectionsOf(tunnel);
  if (all.length === 0) return <span class="chip warn">{S.tunnels.open}</span>;
  return (
    <>
      {all.map((each) => (
        <span class="chip good" key={each}>
          {each}
        </span>
      ))}
    </>
  );
};

/** Each label as text; with `onPick` as what a list is filtered by. */
export const Labels = ({ of = {}, onPick }: { of?: Tunnel['labels']; onPick?: (text: string) => void }) => (
  <>
    {Object.entries(of).map(([key, value]) => {
      const text = `${key}=${value}`;
      return onPick ? (
        <button
          type="button"
          class="chip"
          key={key}
          title={S.tunnels.byLabel(text)}
          onClick={() => onPick(text)}
        >
          {text}
        </button>
      ) : (
        <span class="chip" key={key}>
          {text}
        </span>
      );
    })}
  </>
);

export const CloseTunnel = ({ tunnel, onClose }: { tunnel: Tunnel; onClose: () => void }) => (
  <Confirm
    title={S.tunnels.confirm(shownName(tunnel))}
    consequence={S.tunnels.consequence}
    submit={S.tunnels.close}
    onClose={onClose}
    onConfirm={() => ask('DELETE', `/tunnels/${tunnel.id}`)}
  />
);
