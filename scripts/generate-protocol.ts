/**
 * Renders src/wire/protocol.gen.ts from src/wire/protocol.proto; with `--check` it fails where the committed file differs.
 *
 * Both tools come from node_modules and nothing is fetched, so it works offline.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const committedPath = join(root, 'src/wire/protocol.gen.ts');
const require = createRequire(import.meta.url);

/** Path of a package's executable, found the way that Node finds the package. */
const executableOf = (packageName: string, path: string): string =>
  join(dirname(require.resolve(`${packageName}/package.json`)), path);

const render = (): string => {
  const outDir = mkdtempSync(join(tmpdir(), 'rstream-protocol-'));
  const template = {
    version: 'v2',
    plugins: [
      {
        local: [process.execPath, executableOf('@bufbuild/protoc-gen-es', 'bin/protoc-gen-es')],
        out: outDir,
        // TypeScript without enums, because the project's tsconfig allows erasable syntax only.
        opt: ['target=ts', 'import_extension=ts', 'erasable_syntax=true'],
      },
    ],
  };
  try {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        executableOf('@bufbuild/buf', 'bin/buf'),
        'generate',
        join(root, 'src/wire'),
        '--template',
        JSON.stringify(template),
      ],
      { cwd: outDir, encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`buf generate failed:\n${stderr}`);
    return readFileSync(join(outDir, 'protocol_pb.ts'), 'utf8');
  } finally {
    rmSync(outDir, { recursive: true });
  }
};

const rendered = render();
if (!process.argv.includes('--check')) {
  writeFileSync(committedPath, rendered);
} else if (readFileSync(committedPath, 'utf8') !== rendered) {
  console.error('src/wire/protocol.gen.ts does not match protocol.proto: run `npm run generate` and commit.');
  process.exitCode = 1;
}
