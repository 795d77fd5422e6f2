/** The import law, the doors and the habits of the house hold for src/, and the law itself catches what it should. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { architectureFaults, packagesOf, roomsOf } from './support/architecture.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

const sources = new Map(
  readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path.split(sep).join('/'), readFileSync(join(root, 'src', path), 'utf8')] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);

describe('src', () => {
  test('keeps the law', () => {
    assert.equal(architectureFaults(sources).join('\n'), '');
  });

  test('imports only packages that an operator installs', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    const missing = [...packagesOf(sources)].filter((name) => !(name in manifest.dependencies));
    assert.deepEqual(missing, [], 'move these to the dependencies of package.json');
  });

  test('is mapped by ARCHITECTURE.md, room by room', () => {
    const path = join(root, 'ARCHITECTURE.md');
    assert.ok(existsSync(path), 'ARCHITECTURE.md is missing; it needs a section "## Code map"');
    const map = readFileSync(path, 'utf8')
      .split(/^## /m)
      .find((part) => part.startsWith('Code map\n'));
    assert.ok(map, 'ARCHITECTURE.md needs a section "## Code map"');
    const named = [...map.matchAll(/^- `src\/([\w-]+)\/`/gm)].map((match) => match[1]!);
    // The lobby's commands may have a line of their own.
    assert.deepEqual(named.filter((room) => room !== 'cli').sort(), [...roomsOf(sources)].sort());
  });
});

/** Faults of a small house: a main.ts that imports every file, and the files, each with a head. */
const faultsOf = (files: Record<string, string>): string[] => {
  const main = Object.keys(files).map((path) => `import './${path}';`);
  const all = { 'main.ts': main.join('\n'), ...files };
  return architectureFaults(
    new Map(Object.entries(all).map(([path, text]) => [path, `/** A sample. */\n${text}\n`])),
  );
};

describe('the law catches', () => {
  const empty = 'export {};';
  const cases: [name: string, files: Record<string, string>, fault: RegExp][] = [
    [
      'an import upward',
      { 'base/a.ts': "import { b } from '../edge/b.ts';", 'edge/b.ts': empty },
      /base may not import edge/,
    ],
    [
      'an import of a peer, even of a type',
      { 'wire/a.ts': "import type { B } from '../tunnel/b.ts';", 'tunnel/b.ts': empty },
      /wire may not import tunnel/,
    ],
    [
      'an import over several lines',
      { 'api/a.ts': "import {\n  b,\n  c,\n} from '../edge/b.ts';", 'edge/b.ts': empty },
      /api may not import edge/,
    ],
    [
      'an export from elsewhere',
      { 'stream/a.ts': "export { b } from '../control/b.ts';", 'control/b.ts': empty },
      /stream may not import control/,
    ],
    [
      'an import at run time',
      { 'store/a.ts': "export const b = () => import('../api/b.ts');", 'api/b.ts': empty },
      /store may not import api/,
    ],
    [
      'an import of Config by a room',
      { 'edge/a.ts': "import type { Config } from '../config/b.ts';", 'config/b.ts': empty },
      /edge may not import config/,
    ],
    [
      'an import of the lobby',
      { 'api/a.ts': "import { b } from '../engine.ts';", 'engine.ts': empty },
      /the lobby is not imported/,
    ],
    [
      'an import of a command',
      { 'agent/a.ts': "import { b } from '../cli/b.ts';", 'cli/b.ts': empty },
      /the lobby is not imported/,
    ],
    ['an import without its extension', { 'base/a.ts': "import { b } from './b';" }, /write the extension/],
    ['an import from outside of src', { 'base/a.ts': "import b from '../../package.json';" }, /no such file/],
    ['a package at the wrong door', { 'edge/a.ts': "import Koa from 'koa';" }, /koa enters only through api/],
    [
      'a part of a package',
      { 'edge/a.ts': "import { a } from 'yaml/x';" },
      /yaml enters only through config/,
    ],
    ['a package without a door', { 'api/a.ts': "import express from 'express';" }, /express has no door/],
    ['a builtin without its prefix', { 'store/a.ts': "import fs from 'fs';" }, /fs has no door/],
    [
      'a builtin at the wrong door',
      { 'edge/a.ts': "import { connect } from 'node:tls';" },
      /node:tls enters only/,
    ],
    [
      'a builtin beside the one file that may have it',
      { 'base/a.ts': "import { isIP } from 'node:net';" },
      /node:net enters only through socket, agent, base\/ip.ts/,
    ],
    [
      'a cycle of two files',
      { 'base/a.ts': "import './b.ts';", 'base/b.ts': "import type { A } from './a.ts';" },
      /cycle: base\/a.ts -> base\/b.ts -> base\/a.ts/,
    ],
    ['a directory that is no room', { 'utils/a.ts': empty }, /utils is no room/],
    ['a default export', { 'base/a.ts': 'export default 1;' }, /a default export/],
    ['any', { 'base/a.ts': 'export const a = (b: any) => b;' }, /any: use unknown/],
    ['a cast to any', { 'base/a.ts': 'export const a = 1 as any;' }, /any: use unknown/],
    ['an enum', { 'base/a.ts': 'export enum A { b }' }, /an enum/],
    ['console', { 'base/a.ts': "console.log('a');" }, /console: log through/],
    ['the environment', { 'config/a.ts': 'export const a = process.env.A;' }, /only main.ts/],
    ['an exit', { 'cli/a.ts': 'process.exit(1);' }, /only main.ts/],
    ['a bare timer', { 'edge/a.ts': 'setTimeout(() => {}, 1);' }, /a bare timer/],
    ['a wait in a pure room', { 'tunnel/a.ts': 'export const a = async () => 1;' }, /this room is pure/],
    [
      'code after a comment in a string',
      { 'base/a.ts': "export const a = '//'; console.log(a);" },
      /console/,
    ],
    [
      'code after a quote in a pattern',
      { 'base/a.ts': "export const a = /'/; console.log('b');" },
      /console/,
    ],
  ];
  for (const [name, files, fault] of cases)
    test(name, () => {
      const faults = faultsOf(files);
      assert.equal(faults.length, 1, faults.join('\n'));
      assert.match(faults[0]!, fault);
    });

  test('a file that nobody imports', () => {
    const files = new Map([
      ['main.ts', '/** Main. */'],
      ['base/a.ts', '/** Alone. */'],
    ]);
    assert.deepEqual(architectureFaults(files), ['base/a.ts: nobody imports it; wire or remove it']);
  });

  test('a file without a head', () => {
    const files = new Map([['main.ts', '// Main.\nexport {};']]);
    assert.deepEqual(architectureFaults(files), ['main.ts: begin it with /** what it is */']);
  });
});

describe('the law allows', () => {
  const cases: [name: string, files: Record<string, string>][] = [
    [
      'an import downward',
      { 'edge/a.ts': "import '../tunnel/b.ts';", 'tunnel/b.ts': "import '../base/c.ts';", 'base/c.ts': '' },
    ],
    ['the types of a builtin', { 'edge/a.ts': "import type { Socket } from 'node:net';" }],
    [
      'packages and builtins at their doors',
      { 'base/ip.ts': "import 'node:net';", 'cli/a.ts': "import 'commander';" },
    ],
    [
      'the manifest in the lobby',
      { 'cli/a.ts': "import m from '../../package.json' with { type: 'json' };" },
    ],
    ['a method called setTimeout', { 'socket/a.ts': 'socket.setTimeout(1);' }],
    [
      'banned words in comments and texts',
      { 'base/a.ts': "// console.log(process.env)\nexport const a = 'as any';" },
    ],
    [
      'names that begin like banned words',
      { 'base/a.ts': 'export const anyOf = (company: anyThing) => company;' },
    ],
  ];
  for (const [name, files] of cases) test(name, () => assert.deepEqual(faultsOf(files), []));
});
