/**
 * The one reading of `Authorization: Bearer`, for all doors that speak HTTP.
 */

// RFC 9110 11.4; the scheme is case-insensitive, and tokens of the operator's own need not be JWTs.
const BEARER = /^bearer +(\S+) *$/i;
const SCHEME = /^bearer(?: |$)/i;

/** The token of an Authorization header; undefined for another scheme, and for a bearer that has none. */
export const bearerFrom = (authorization: string): string | undefined => BEARER.exec(authorization)?.[1];

/** Whether an Authorization header is of this scheme, well written or not. */
export const isBearer = (authorization: string): boolean => SCHEME.test(authorization);
