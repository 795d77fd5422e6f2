/** Numbers as people read them. */

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** Like `1.2 MB`. */
export const bytesText = (count: number): string => {
  let value = count;
  let unit = 0;
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${numberText(value)} ${UNITS[unit]}`;
};

/** At most three digits that matter. */
export const numberText = (value: number): string =>
  value.toLocaleString(
    undefined,
    value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
  );

export const shareText = (share: number): string =>
  share.toLocaleString(undefined, {
    style: 'percent',
    maximumFractionDigits: share < 0.1 && share > 0 ? 1 : 0,
  });

/** Like `12 ms` or `3.4 s`. */
export const durationText = (ms: number): string =>
  ms < 1_000 ? `${numberText(ms)} ms` : `${numberText(ms / 1_000)} s`;
