#!/usr/bin/env -S node --max-semi-space-size=2
/**
 * The `rstream-engine-ce` command of the package: runs the source through tsx.
 *
 * Why the flag: bulk traffic makes a small buffer of every TLS record, and with V8's default young generation on Node 26 those cause a
 * full collection per 64 MiB, a fifth of the engine's CPU. docs/benchmarks.md has the figures.
 */
import { register } from 'tsx/esm/api';

register();
await import('../src/main.ts');
