/** Where something is in this page: `#/<name of a page>`, `#/<name>/<rest>`, or `#/<name>?filter=<words>`. */
import type { PageName } from './pages.tsx';

/** The address of a page, or of one thing on it. */
export const addressOfPage = (name: PageName, rest = ''): string =>
  `#/${name}${rest && `/${encodeURIComponent(rest)}`}`;

/** The address of a list that shows what a filter finds. */
export const addressOfList = (name: PageName, filter: string): string =>
  `${addressOfPage(name)}?filter=${encodeURIComponent(filter)}`;

/** Undefined where the address chooses no filter. */
export const filterInAddress = (): string | undefined =>
  new URLSearchParams(location.hash.split('?')[1] ?? '').get('filter')?.slice(0, 200);
