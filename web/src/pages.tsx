/**
 * The pages there are: a page is added by one row here and its name in strings.ts.
 *
 * Flow: main.tsx shows the row that the address names, `#/<name>` or `#/<name>/<rest>`, with whatever a page puts behind `?`; the navigation lists them in this order.
 */
import type { ComponentType } from 'preact';
import { AgentsPage } from './agents.tsx';
import type { Me } from './api.ts';
import { ApplicationsPage } from './applications.tsx';
import { AuditPage } from './audit.tsx';
import { CertificatesPage } from './certificates.tsx';
import { OverviewPage } from './overview.tsx';
import { PolicyPage } from './policy.tsx';
import { RecordsPage } from './records.tsx';
import { ServerCertificatePage } from './server-certificate.tsx';
import { SettingsPage } from './settings.tsx';
import { S } from './strings.ts';
import { TokensPage } from './tokens.tsx';
import { TunnelsPage } from './tunnels.tsx';
import { WebhooksPage } from './webhooks.tsx';

export interface PageProps {
  readonly me: Me;
  readonly mayWrite: boolean;
  /** What follows the name of the page in the address, such as an id; '' for nothing. */
  readonly rest: string;
  /** The own login has changed. */
  onMe(): void;
}

/** The name in the address is also the name in S.nav. */
const PAGES = {
  overview: OverviewPage,
  tunnels: TunnelsPage,
  agents: AgentsPage,
  tokens: TokensPage,
  applications: ApplicationsPage,
  certificates: CertificatesPage,
  'server-certificate': ServerCertificatePage,
  policy: PolicyPage,
  records: RecordsPage,
  webhooks: WebhooksPage,
  audit: AuditPage,
  settings: SettingsPage,
} as const satisfies Partial<Record<keyof typeof S.nav, ComponentType<PageProps>>>;

export type PageName = keyof typeof PAGES;
export const PAGE_NAMES = Object.keys(PAGES) as PageName[];
export const pageOf = (name: PageName): ComponentType<PageProps> => PAGES[name];
export const titleOf = (name: PageName): string => S.nav[name];

/** What an address names; the overview where it names nothing. */
export const placeFrom = (hash: string): { readonly name: PageName; readonly rest: string } => {
  const [, wanted, rest = ''] = /^#\/([\w-]+)(?:\/([^/?]*))?(?:\?.*)?$/.exec(hash) ?? [];
  const name = PAGE_NAMES.find((each) => each === wanted);
  return name ? { name, rest: decoded(rest) } : { name: 'overview', rest: '' };
};

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
};
