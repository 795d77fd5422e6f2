/** One record in full: what was asked, how it ended, and why. */
import type { ComponentChildren } from 'preact';
import { bytesText, durationText } from './numbers.ts';
import { Dialog, Time } from './parts.tsx';
import { S } from './strings.ts';

type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type FoundRecord = Fields & {
  readonly id: number;
  readonly at: string;
  readonly kind: string;
  readonly status: number;
  readonly reason: string;
  readonly address: string;
  readonly duration_ms: number;
  readonly bytes_up: number;
  readonly bytes_down: number;
};

const textOf = (name: string, value: string | number | boolean): string => {
  if (typeof value === 'boolean') return value ? S.records.yes : S.records.no;
  if (typeof value !== 'number') return name === 'kind' ? (S.records.kinds[value] ?? value) : value;
  if (name.endsWith('_ms')) return durationText(value);
  return name.startsWith('bytes') ? bytesText(value) : String(value);
};

export const RecordDetails = ({ record, onClose }: { record: FoundRecord; onClose: () => void }) => (
  <Dialog title={`${record.host ?? S.records.kinds[record.kind]}`} onClose={onClose}>
    <p class="corner">
      <button type="button" class="small" onClick={onClose}>
        {S.records.close}
      </button>
    </p>
    {Object.values(S.records.groups).map(({ title, fields }) => {
      const known = Object.entries(fields).filter(([name]) => record[name] !== undefined);
      return known.length === 0 ? null : (
        <section key={title}>
          <h3>{title}</h3>
          <dl class="facts">
            {known.map(([name, label]) => (
              <Fact key={name} label={label}>
                {name === 'at' ? <Time of={record.at} /> : textOf(name, record[name]!)}
              </Fact>
            ))}
          </dl>
        </section>
      );
    })}
  </Dialog>
);

const Fact = ({ label, children }: { label: string; children: ComponentChildren }) => (
  <>
    <dt>{label}</dt>
    <dd>{children}</dd>
  </>
);
