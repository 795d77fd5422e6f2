/**
 * The admin page: a few static files, as scripts/build-page.mjs left them.
 *
 * Flow: read whole when the engine starts; index.html names the others, whose names hold a hash of what is in them.
 * Invariant: nothing of the page comes from elsewhere, is inline, or is framed; scripts cannot write markup (Trusted Types). The engine
 * runs without a page, and says so where it should be.
 */
import { extname } from 'node:path';
import type { Middleware } from 'koa';
import { fail } from '../../base/errors.ts';

const MEDIA_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Of every answer of the admin listener. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
};

const INDEX = 'index.html';
const HASHED = /-[0-9a-f]{12}\.\w+$/;

/** @param files by name; index.html may be missing */
export const servePage =
  (files: ReadonlyMap<string, Buffer>): Middleware =>
  (ctx, next) => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return next();
    const isIndex = ctx.path === '/';
    const name = isIndex ? INDEX : ctx.path.slice(1);
    const content = extname(name) in MEDIA_TYPES ? files.get(name) : undefined;
    if (!content) {
      if (isIndex) throw fail('PAGE_NOT_BUILT');
      return next();
    }
    ctx.set('content-type', MEDIA_TYPES[extname(name)] ?? 'application/octet-stream');
    // What has a hash in its name never changes; what names them must be asked for each time.
    ctx.set('cache-control', HASHED.test(name) ? 'public, max-age=31536000, immutable' : 'no-store');
    ctx.body = content;
  };
