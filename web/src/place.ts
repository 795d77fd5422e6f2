/** Where something is in this page: `#/<name of a page>` or `#/<name>/<rest>`. */
import type { PageName } from './pages.tsx';

/** The address of a page, or of one thing on it. */
export const addressOfPage = (name: PageName, rest = ''): string =>
  `#/${name}${rest && `/${encodeURIComponent(rest)}`}`;
