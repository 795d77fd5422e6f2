/**
 * How each platform is told to trust a CA: a table of words, with the places where the file and its name go.
 *
 * Limits: only what was looked up in the documentation of each platform; one that is not here trusts by its own manual.
 */

/** What stands in the steps. */
export interface TrustSubject {
  /** The file, quoted for a shell. */
  readonly file: string;
  /** An address that must open afterwards. */
  readonly address: string;
}

interface Platform {
  readonly title: string;
  steps(subject: TrustSubject): readonly string[];
}

const NAME = 'rstream-engine-ce';

/** The platforms, systems first. */
export const PLATFORMS: Readonly<Record<string, Platform>> = {
  debian: {
    title: 'Debian, Ubuntu',
    steps: ({ file }) => [
      `sudo cp ${file} /usr/local/share/ca-certificates/${NAME}.crt`,
      'sudo update-ca-certificates',
    ],
  },
  fedora: {
    title: 'Fedora, RHEL, CentOS, Rocky, Alma',
    steps: ({ file }) => [
      `sudo cp ${file} /etc/pki/ca-trust/source/anchors/${NAME}.pem`,
      'sudo update-ca-trust',
    ],
  },
  arch: { title: 'Arch Linux', steps: ({ file }) => [`sudo trust anchor --store ${file}`] },
  alpine: {
    title: 'Alpine Linux',
    steps: ({ file }) => [
      'apk add ca-certificates',
      `cp ${file} /usr/local/share/ca-certificates/${NAME}.crt`,
      'update-ca-certificates',
    ],
  },
  macos: {
    title: 'macOS (Safari, Chrome, curl)',
    steps: ({ file }) => [
      `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${file}`,
    ],
  },
  windows: {
    title: 'Windows (Edge, Chrome), in a terminal of an administrator beside the file',
    steps: () => ['certutil -addstore -f Root ca.pem'],
  },
  firefox: {
    title: 'Firefox',
    steps: () => [
      'Settings, Privacy & Security, Certificates, View Certificates, Authorities, Import:',
      'choose the file and tick "Trust this CA to identify websites".',
    ],
  },
  chromium: {
    title: 'Chromium and Chrome on Linux (NSS; certutil is in libnss3-tools or nss-tools)',
    steps: ({ file }) => [
      'mkdir -p "$HOME/.pki/nssdb"',
      `certutil -d sql:"$HOME/.pki/nssdb" -A -t C,, -n ${NAME} -i ${file}`,
    ],
  },
  ios: {
    title: 'iPhone, iPad',
    steps: () => [
      'Send the file to the device (AirDrop, mail) and open it; Settings, Profile Downloaded, Install.',
      'Then Settings, General, About, Certificate Trust Settings: switch it on.',
    ],
  },
  android: {
    title: 'Android',
    steps: () => [
      'Settings, Security, Encryption & credentials, Install a certificate, CA certificate: choose the file.',
      'Browsers then trust it; other apps only when their makers let them trust CAs of the user.',
    ],
  },
  java: {
    title: 'Java',
    steps: ({ file }) => [
      `keytool -importcert -noprompt -cacerts -storepass changeit -alias ${NAME} -file ${file}`,
    ],
  },
  node: {
    title: 'Node.js (read once, when a program starts)',
    steps: ({ file }) => [`export NODE_EXTRA_CA_CERTS=${file}`],
  },
  python: {
    title: 'Python (in place of the CAs of the system; the second line is for requests)',
    steps: ({ file }) => [`export SSL_CERT_FILE=${file}`, `export REQUESTS_CA_BUNDLE=${file}`],
  },
  go: {
    title: 'Go on Linux (in place of the CAs of the system), and the official rstream CLI',
    steps: ({ file }) => [
      `export SSL_CERT_FILE=${file}`,
      `rstream context create local --engine-tls-ca-file ${file} ...`,
    ],
  },
  curl: { title: 'curl', steps: ({ file, address }) => [`curl --cacert ${file} ${address}`] },
};
