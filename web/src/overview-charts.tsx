/** What ran through the engine, how it was protected, and how busy that kept it. */
import { useState } from 'preact/hooks';
import { Chart } from './chart.tsx';
import { useLive } from './live.ts';
import { bytesText, numberText, shareText } from './numbers.ts';
import { Notice, Table } from './parts.tsx';
import { S } from './strings.ts';

type Range = keyof typeof S.charts.ranges;
type SeriesName = keyof typeof S.charts.series;
type Passports = typeof S.charts.passports;

type History = Readonly<Record<SeriesName | 'memory_bytes' | 'loop_busy', readonly number[]>> & {
  readonly at: readonly string[];
  readonly refusals: readonly { code: string; message: string; count: number }[];
  readonly passport: Readonly<Record<keyof Passports, Readonly<Record<string, number>>>>;
  readonly records?: { readonly kept: number; readonly lost: number };
};

export const OverviewCharts = () => {
  const [range, setRange] = useState<Range>('hour');
  const { value, fault } = useLive<History>(`/history?range=${range}`);
  return (
    <section aria-label={S.charts.title} class="traffic">
      <div class="head">
        <h2>{S.charts.title}</h2>
        <fieldset aria-label={S.charts.range} class="toggle">
          {Object.entries(S.charts.ranges).map(([name, text]) => (
            <button
              key={name}
              type="button"
              class="small"
              aria-pressed={name === range}
              onClick={() => setRange(name as Range)}
            >
              {text}
            </button>
          ))}
        </fieldset>
      </div>
      {!value && fault && <Notice kind="bad">{fault}</Notice>}
      {value ? <Charts history={value} /> : <div class="charts waiting" />}
    </section>
  );
};

const Charts = ({ history }: { history: History }) => {
  const seriesOf = (...names: SeriesName[]) =>
    names.map((name) => ({ label: S.charts.series[name], values: history[name] }));
  return (
    <>
      {history.at.length < 2 ? (
        <div class="card empty">{S.charts.soon}</div>
      ) : (
        <div class="charts">
          <Chart title={S.charts.requests} at={history.at} series={seriesOf('requests', 'raw_streams')} />
          <Chart
            title={S.charts.bytes}
            at={history.at}
            series={seriesOf('bytes_down', 'bytes_up')}
            textOf={bytesText}
          />
          <Chart title={S.charts.refused} at={history.at} series={seriesOf('refused')} />
          <Chart title={S.charts.streams} at={history.at} series={seriesOf('open_streams')} />
        </div>
      )}
      <Health history={history} />
      <h2>{S.charts.refusals}</h2>
      <Table
        label={S.charts.refusals}
        columns={S.charts.refusalColumns}
        empty={S.charts.noRefusals}
        rows={history.refusals.map(({ code, message, count }) => ({
          key: code,
          cells: [message, <code key="code">{code}</code>, count.toLocaleString()],
        }))}
      />
      <Passport passport={history.passport} />
    </>
  );
};

const Health = ({ history: { memory_bytes, loop_busy, records } }: { history: History }) => {
  const [memory, busy] = [memory_bytes.at(-1), loop_busy.at(-1)];
  if (memory === undefined || busy === undefined) return null;
  const words = [
    S.charts.memory(bytesText(memory)),
    S.charts.busy(shareText(busy)),
    records ? S.charts.kept(records.kept, records.lost) : S.charts.noRecords,
  ];
  return (
    <p class="card">
      <strong>{S.charts.health}:</strong> {words.join(' · ')}
    </p>
  );
};

const Passport = ({ passport }: { passport: History['passport'] }) => (
  <>
    <h2>{S.charts.passport}</h2>
    <div class="passports">
      {Object.entries(S.charts.passports).map(([name, { title, of, parts }]) => {
        const counts = passport[name as keyof Passports];
        const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
        return (
          <div class="card" key={name}>
            <h3>{title}</h3>
            {total === 0 && <p class="quiet">{S.charts.passportEmpty}</p>}
            {total > 0 &&
              Object.entries(parts).map(([part, text]) => {
                const count = counts[part] ?? 0;
                return (
                  <p key={part} class="share">
                    <span>{text}</span>
                    <strong>{shareText(count / total)}</strong>
                    <meter min={0} max={total} value={count} aria-label={text} />
                    <span class="quiet">
                      {numberText(count)} {of}
                    </span>
                  </p>
                );
              })}
          </div>
        );
      })}
    </div>
  </>
);
