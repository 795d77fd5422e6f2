/**
 * One chart over time, drawn by uPlot, and the same in a sentence for those who do not see it.
 *
 * Invariant: no style is written into the markup: uPlot sets what it needs from scripts, which the content security policy allows.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { numberText } from './numbers.ts';
import { S } from './strings.ts';

export interface ChartSeries {
  readonly label: string;
  readonly values: readonly number[];
}

interface ChartProps {
  readonly title: string;
  /** ISO 8601, the oldest first. */
  readonly at: readonly string[];
  readonly series: readonly ChartSeries[];
  readonly textOf?: (value: number) => string;
}

const HEIGHT = 150;
const DARK = matchMedia('(prefers-color-scheme: dark)');
const COLOURS = ['--accent', '--focus'];

const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Seconds only where the whole is some minutes. */
const timeText =
  (all: readonly number[]) =>
  (at: number): string =>
    new Date(at * 1_000).toLocaleTimeString(undefined, {
      hour: '2-digit',
      minute: '2-digit',
      ...((all.at(-1) ?? 0) - (all[0] ?? 0) < 300 && { second: '2-digit' }),
    });

const optionsFrom = (
  width: number,
  labels: readonly string[],
  textOf: (value: number) => string,
  onHover: (index: number | undefined) => void,
): uPlot.Options => {
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, space: 100, values: (_plot, seconds) => seconds.map(timeText(seconds)) },
      { ...axis, size: 68, values: (_plot, values) => values.map((value) => textOf(value)) },
    ],
    series: [
      {},
      ...labels.map((label, index) => ({
        label,
        stroke: colour(COLOURS[index] ?? '--text'),
        width: 1.5,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onHover(cursor.idx ?? undefined)] },
  };
};

/** Whether the page is dark: what is drawn has to be drawn anew when that changes. */
const useDark = (): boolean => {
  const [isDark, setDark] = useState(DARK.matches);
  useEffect(() => {
    const follow = () => setDark(DARK.matches);
    DARK.addEventListener('change', follow);
    return () => DARK.removeEventListener('change', follow);
  }, []);
  return isDark;
};

export const Chart = ({ title, at, series, textOf = numberText }: ChartProps) => {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [hovered, setHovered] = useState<number>();
  const isDark = useDark();
  // Not whenever something is hovered.
  const data = useMemo<uPlot.AlignedData>(
    () => [at.map((time) => Date.parse(time) / 1_000), ...series.map(({ values }) => [...values])],
    [at, series],
  );
  const labels = series.map(({ label }) => label).join('\n');

  useEffect(() => {
    const element = place.current!;
    const options = optionsFrom(element.clientWidth, labels.split('\n'), textOf, setHovered);
    const made = new uPlot(options, data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
    };
  }, [isDark, labels]);
  useEffect(() => plot.current?.setData(data), [data]);

  return (
    <figure class="card chart">
      <h3>{title}</h3>
      <div ref={place} class="plot" aria-hidden="true" />
      <figcaption>
        {series.map(({ label, values }, index) => (
          <span key={label} class={`key key-${index}`}>
            {hovered === undefined || values[hovered] === undefined
              ? sentenceOf(label, values, textOf)
              : S.charts.at(
                  new Date(at[hovered]!).toLocaleTimeString(),
                  `${textOf(values[hovered])} ${label}`,
                )}
          </span>
        ))}
      </figcaption>
    </figure>
  );
};

const sentenceOf = (label: string, values: readonly number[], textOf: (value: number) => string): string => {
  const sum = values.reduce((total, value) => total + value, 0);
  return S.charts.sentence(
    label,
    textOf(values.at(-1) ?? 0),
    textOf(Math.max(0, ...values)),
    textOf(values.length > 0 ? sum / values.length : 0),
  );
};
