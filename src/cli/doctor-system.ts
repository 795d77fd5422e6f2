/** The checks of `doctor` that look at the system: disk, open files, the runtime's cryptography, names. */
import { lookup } from 'node:dns/promises';
import { readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { LIMITS } from '../base/limits.ts';
import { pause } from '../base/time.ts';
import { hasPostQuantum } from '../socket/post-quantum.ts';
import { type Check, type CheckNeeds, fault, ok, orOk, warning } from './finding.ts';

const MIB = 2 ** 20;
const FREE_MIB_MIN = 100;
const FREE_MIB_ADVISED = 1_024;

export const checkDisk: Check = ({ config }) => {
  const dir = dirname(config.store.path);
  const { bavail, bsize } = statfsSync(dir);
  const freeMib = Math.floor((bavail * bsize) / MIB);
  const detail = `${freeMib} MiB are free at ${dir}`;
  if (freeMib < FREE_MIB_MIN) return [fault(`${detail}: make room`)];
  return [freeMib < FREE_MIB_ADVISED ? warning(`${detail}: make room soon`) : ok(detail)];
};

/** Of the shell that runs `doctor`; the service has a limit of its own (LimitNOFILE). */
export const checkOpenFiles: Check = ({ config }) => {
  const [, soft = ''] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  const { connections } = config.limits;
  const limit = soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
  return [
    limit >= connections
      ? ok(`${soft} files may be open here`)
      : warning(
          `only ${soft} files may be open here, and limits.connections is ${connections}: raise it (ulimit -n, LimitNOFILE)`,
        ),
  ];
};

export const checkPostQuantum: Check = () => [
  hasPostQuantum()
    ? ok(`OpenSSL ${process.versions.openssl} has X25519MLKEM768`)
    : warning(
        `OpenSSL ${process.versions.openssl} has no X25519MLKEM768: use the binary, or Node with OpenSSL 3.5`,
      ),
];

/** That the host, and any name below t.<host>, lead to the same place. */
export const checkDns: Check = async (needs) => {
  const { host } = needs.config.engine;
  // RFC 6761 section 6.3: programs resolve these names themselves.
  if (host === 'localhost') return [ok('localhost leads to this machine')];
  const wildcard = `doctor.t.${host}`;
  const [own, published] = await Promise.all([addressesOf(host, needs), addressesOf(wildcard, needs)]);
  const missing = [
    ...(own.length === 0 ? [fault(`${host} has no address: make an A or AAAA record`)] : []),
    ...(published.length === 0 ? [fault(`*.t.${host} has no address: make it a CNAME of ${host}`)] : []),
  ];
  if (missing.length > 0) return missing;
  const isSame = published.every((address) => own.includes(address));
  return orOk(
    isSame ? [] : [warning(`*.t.${host} leads to ${published.join(', ')}, ${host} to ${own.join(', ')}`)],
    `${host} and *.t.${host} lead to ${own.join(', ')}`,
  );
};

/** None, too, where no answer comes in time. */
const addressesOf = async (name: string, { clock }: CheckNeeds): Promise<string[]> => {
  const found = lookup(name, { all: true }).then(
    (addresses) => addresses.map(({ address }) => address),
    () => [],
  );
  return Promise.race([found, pause(clock, LIMITS.engineConnectMsMax).then(() => [])]);
};
