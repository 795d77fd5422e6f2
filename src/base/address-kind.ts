/**
 * What kind of place an IP address is: whether the engine may be made to connect there by somebody who only knows a URL.
 *
 * Invariant: default deny: of IPv6 only what is assigned as global unicast counts as public, and an address that carries an IPv4 address
 * (NAT64) is what that address is. What answers with keys to whoever asks, the metadata service of a cloud, is never allowed.
 */
import { addressFromBytes, bytesFromAddress, createAddressSet, isLoopbackAddress } from './ip.ts';

/** `forbidden`: nobody's to connect to, whatever is allowed: metadata services, multicast, broadcast, addresses of no host. */
export type AddressKind = 'public' | 'private' | 'loopback' | 'forbidden';

const METADATA = createAddressSet([
  '169.254.169.254', // most clouds
  '169.254.170.2', // containers of AWS
  '100.100.100.200', // Alibaba
  '168.63.129.16', // Azure
  '192.0.0.192', // Oracle
  'fd00:ec2::254', // AWS
  'fd20:ce::254', // Google
]);
// Registries of RFC 6890.
const NOWHERE = createAddressSet(['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::', 'ff00::/8']);
const PRIVATE4 = createAddressSet([
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
]);
const GLOBAL6 = createAddressSet(['2000::/3']);
// Teredo and its neighbours, documentation, 6to4, which carries any IPv4 address.
const NOT_GLOBAL6 = createAddressSet(['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);
const NAT64 = createAddressSet(['64:ff9b::/96']);

/** @param text an IP address; what is none is forbidden */
export const addressKindOf = (text: string): AddressKind => {
  const bytes = bytesFromAddress(text);
  if (!bytes) return 'forbidden';
  const address = addressFromBytes(bytes);
  if (METADATA.has(address) || NOWHERE.has(address)) return 'forbidden';
  if (isLoopbackAddress(address)) return 'loopback';
  if (NAT64.has(address)) return addressKindOf(addressFromBytes(bytes.subarray(12)));
  if (!address.includes(':')) return PRIVATE4.has(address) ? 'private' : 'public';
  return GLOBAL6.has(address) && !NOT_GLOBAL6.has(address) ? 'public' : 'private';
};
