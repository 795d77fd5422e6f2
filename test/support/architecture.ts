/**
 * The import law of the house, as a function over source texts: what is wrong with them.
 *
 * Flow: test/architecture.test.ts hands in src/, and bad samples to test the law itself.
 * Each fault says what to do instead. Where a rule makes the code worse, change the rule and say why in the commit.
 */
import { posix } from 'node:path';

/** Rooms that each room may import; the lobby (files in src/ and src/cli/) may import all and is imported by none. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  config: ['base'],
  wire: ['base'],
  socket: ['base'],
  tunnel: ['base'],
  policy: ['base'],
  store: ['base'],
  stream: ['base', 'tunnel'],
  agent: ['base', 'wire'],
  observe: ['base', 'tunnel', 'store'],
  control: ['base', 'wire', 'tunnel', 'stream'],
  edge: ['base', 'tunnel', 'policy', 'stream'],
  api: ['base', 'tunnel', 'stream', 'store', 'observe'],
};

/** The doors of each package: replacing a library is then a change in one room. */
const PACKAGE_DOORS: Readonly<Record<string, readonly string[]>> = {
  pino: ['base'],
  'prom-client': ['base'],
  yaml: ['config'],
  zod: ['config', 'api'],
  '@bufbuild/protobuf': ['wire'],
  '@peculiar/x509': ['store'],
  argon2: ['store'],
  'better-sqlite3': ['store'],
  jose: ['store'],
  maxmind: ['store'],
  otpauth: ['store'],
  '@koa/router': ['api'],
  koa: ['api'],
  ws: ['api'],
  commander: ['lobby'],
};

/** The doors of dangerous builtins, rooms or files; importing their types is free. Others are free everywhere. */
const BUILTIN_DOORS: Readonly<Record<string, readonly string[]>> = {
  'node:tls': ['socket', 'agent'],
  'node:net': ['socket', 'agent', 'base/ip.ts'],
  // The sample page of quickstart and the service of doctor stand for somebody's web server: upstreams, not a part of the engine.
  // Webhooks are the only requests that the engine makes by itself, and one file makes them.
  'node:http': ['edge', 'api', 'cli/sample-page.ts', 'cli/doctor-upstream.ts', 'observe/webhook-request.ts'],
  'node:http2': ['edge', 'api'],
  'node:https': ['observe/webhook-request.ts'],
  'node:timers': ['base/time.ts'],
  'node:timers/promises': ['base/time.ts'],
  'node:child_process': [],
  'node:process': [],
  'node:vm': [],
};

/** Words that may stand only behind their door, and what to write elsewhere. */
const WORDS: readonly { pattern: RegExp; doors: readonly string[]; instead: string }[] = [
  { pattern: /\bexport\s+default\b/, doors: [], instead: 'a default export: name it' },
  { pattern: /(?::|\bas|<)\s*any\b/, doors: [], instead: 'any: use unknown and look' },
  { pattern: /\benum\s+\w+\s*\{/, doors: [], instead: 'an enum: use a const object' },
  {
    pattern: /\bconsole\s*\./,
    doors: [],
    instead: 'console: log through base/log.ts, print through CliContext',
  },
  {
    pattern: /\bprocess\.(?:env|exit)\b/,
    doors: ['main.ts'],
    instead: 'the process: only main.ts reads env and exits',
  },
  {
    pattern: /(?<![\w.])(?:globalThis\.)?set(?:Timeout|Interval)\s*\(/,
    doors: ['base/time.ts'],
    instead: 'a bare timer: use the Clock of base/time.ts',
  },
  { pattern: /\bawait\b|\basync\b/, doors: notIn('tunnel', 'policy'), instead: 'await: this room is pure' },
];

function notIn(...rooms: string[]): readonly string[] {
  return [...Object.keys(ROOMS), 'lobby'].filter((room) => !rooms.includes(room));
}

const roomOf = (path: string): string => {
  const [first = '', ...rest] = path.split('/');
  return rest.length === 0 || first === 'cli' ? 'lobby' : first;
};

const isAtDoor = (path: string, doors: readonly string[]): boolean =>
  doors.includes(roomOf(path)) || doors.includes(path);

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

// What may hold words that are no code. In one expression, so that none is mistaken for a part of another.
const LEXEME = new RegExp(
  [
    /\/\*[\s\S]*?\*\//, // comment
    /\/\/[^\n]*/, // comment to the end of the line
    /'(?:\\.|[^'\\\n])*'/,
    /"(?:\\.|[^"\\\n])*"/,
    /`(?:\\[\s\S]|[^`\\])*`/,
    // A regular expression: where a value begins, a slash is no division.
    /(?<=[(,=:[!&|?{};+>]\s*|\breturn\s+|\n\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'g',
);

const isComment = (lexeme: string): boolean => lexeme.startsWith('//') || lexeme.startsWith('/*');
const withoutComments = (text: string): string =>
  text.replace(LEXEME, (lexeme) => (isComment(lexeme) ? ' ' : lexeme));
const withoutLiterals = (text: string): string => text.replace(LEXEME, ' ');

interface Import {
  readonly specifier: string;
  readonly isType: boolean;
}

const IMPORT =
  /(?:^|[\n;])\s*(?:import|export)\b(\s+type\b(?!\s+from\b))?(?:[^'"`;]*?\bfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

const importsOf = (text: string): Import[] =>
  [...withoutComments(text).matchAll(IMPORT)].map((match) => ({
    specifier: match[2] ?? match[3] ?? '',
    isType: match[1] !== undefined,
  }));

/** Why a file may not import another file of src; undefined when it may. */
const faultOfImport = (path: string, target: string, files: ReadonlyMap<string, string>) => {
  const [from, to] = [roomOf(path), roomOf(target)];
  if (!files.has(target)) {
    const isManifest = from === 'lobby' && target.endsWith('.json');
    return isManifest ? undefined : `${path} -> ${target}: no such file in src; write the extension`;
  }
  if (from === 'lobby' || from === to) return undefined;
  if (to === 'lobby') return `${path} -> ${target}: the lobby is not imported; declare the type you need`;
  return ROOMS[from]?.includes(to) ? undefined : `${path} -> ${target}: ${from} may not import ${to}`;
};

/** Why a file may not import a package or a builtin; undefined when it may. */
const faultOfPackage = (path: string, { specifier, isType }: Import): string | undefined => {
  const isBuiltin = specifier.startsWith('node:');
  const name = isBuiltin ? specifier : packageOf(specifier);
  const doors = (isBuiltin ? BUILTIN_DOORS : PACKAGE_DOORS)[name];
  if (doors === undefined)
    return isBuiltin ? undefined : `${path}: ${name} has no door; declare it here and in docs/adr/0002`;
  if ((isBuiltin && isType) || isAtDoor(path, doors)) return undefined;
  return `${path}: ${name} enters only through ${doors.join(', ') || 'a door that you declare here'}`;
};

const cyclesIn = (graph: ReadonlyMap<string, readonly string[]>): string[] => {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push(`cycle: ${[...trail.slice(start), path].join(' -> ')}`);
    if (start >= 0 || done.has(path)) return;
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return cycles;
};

/**
 * Everything that breaks the law.
 * @param files TypeScript texts by their path inside src
 */
export const architectureFaults = (files: ReadonlyMap<string, string>): string[] => {
  const faults: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [path, text] of files) {
    const room = roomOf(path);
    if (room !== 'lobby' && !(room in ROOMS)) faults.push(`${path}: ${room} is no room; declare it here`);

    const targets: string[] = [];
    graph.set(path, targets);
    for (const each of importsOf(text)) {
      const isLocal = each.specifier.startsWith('.');
      const target = posix.join(posix.dirname(path), each.specifier);
      if (isLocal && files.has(target)) targets.push(target);
      const fault = isLocal ? faultOfImport(path, target, files) : faultOfPackage(path, each);
      if (fault) faults.push(fault);
    }

    if (path.endsWith('.gen.ts')) continue;
    if (!text.replace(/^#!.*\n/, '').startsWith('/**'))
      faults.push(`${path}: begin it with /** what it is */`);
    const code = withoutLiterals(text);
    for (const { pattern, doors, instead } of WORDS)
      if (pattern.test(code) && !isAtDoor(path, doors)) faults.push(`${path}: ${instead}`);
  }

  const imported = new Set([...graph.values()].flat());
  for (const path of files.keys())
    if (path !== 'main.ts' && !imported.has(path))
      faults.push(`${path}: nobody imports it; wire or remove it`);
  return [...faults, ...cyclesIn(graph)];
};

/** The packages that source texts import. */
export const packagesOf = (files: ReadonlyMap<string, string>): ReadonlySet<string> =>
  new Set(
    [...files.values()]
      .flatMap(importsOf)
      .map(({ specifier }) => specifier)
      .filter((specifier) => !/^(?:\.|node:)/.test(specifier))
      .map(packageOf),
  );

/** The rooms that source texts lie in. */
export const roomsOf = (files: ReadonlyMap<string, string>): ReadonlySet<string> =>
  new Set([...files.keys()].map(roomOf).filter((room) => room !== 'lobby'));
