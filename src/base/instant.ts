/** How points in time are written for people and programs: everywhere the same. */

/** ISO 8601 in UTC, of milliseconds since 1970. */
export const isoFrom = (ms: number): string => new Date(ms).toISOString();
