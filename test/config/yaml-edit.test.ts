/** Settings change in a text, and the words of its author stay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSettings } from '../../src/config/yaml-edit.ts';
import { readYaml } from '../../src/config/yaml-source.ts';

const TEXT = `# Ours.
engine:
  host: "tunnel.example.com" # the name

policy:
  # Only from here.
  trusted_ips:
    - 192.0.2.0/24 # office
    - 198.51.100.7 # the old line
  allow_any: false # never

store: {path: engine.db}
`;

test('comments, order, quotes and other sections stay, and so does the comment of an entry that stays', () => {
  const text = withSettings(TEXT, 'policy', {
    trusted_ips: ['192.0.2.0/24', '2001:db8::/32'],
    require_authentication: true,
  });
  assert.equal(
    text,
    TEXT.replace('198.51.100.7 # the old line', '2001:db8::/32')
      .replace('# never\n', '# never\n  require_authentication: true\n')
      .replace('{path: engine.db}', '{ path: engine.db }'),
  );
});

test('a setting goes with undefined, and a section comes where there is none', () => {
  assert.doesNotMatch(withSettings(TEXT, 'policy', { allow_any: undefined }), /allow_any/);
  for (const text of ['', 'policy:\n', 'policy: {}\n', '# nothing\n'])
    assert.deepEqual(readYaml(withSettings(text, 'policy', { geoip: ['FR'] })).tree, {
      policy: { geoip: ['FR'] },
    });
});

test('texts that YAML would take for something else are written so that they stay texts', () => {
  const text = withSettings('', 'policy', { geoip: ['NO', '0x10'], trusted_ips: ['::1'] });
  assert.deepEqual(readYaml(text).tree, { policy: { geoip: ['NO', '0x10'], trusted_ips: ['::1'] } });
});
