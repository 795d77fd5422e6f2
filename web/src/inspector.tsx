/**
 * The inspector of one tunnel: start and stop it, look at what it has captured, send one exchange again.
 *
 * Invariant: everything captured was written by strangers: it is shown as text in elements that run nothing, and downloaded under a name of
 * the engine's. A body is fetched only when somebody asks for it, as each look at one is in the audit log.
 */
import { useState } from 'preact/hooks';
import { ask, askBytes, type Page, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import { ActionForm, Choice, Confirm, Dialog, Notice, Table, Time } from './parts.tsx';
import { S } from './strings.ts';

const T = S.inspector;
/** What the engine writes in place of what it has not kept. */
const REDACTED = '•••';
const SHOWN_COUNT = 100;
const SHOWN_CHARS = 65_536;

interface Inspection {
  readonly state: 'unavailable' | 'off' | 'capturing' | 'ended';
  readonly ends_at?: string;
  readonly count: number;
  readonly dropped_count: number;
  readonly body_bytes_max: number;
}

interface Summary {
  readonly id: string;
  readonly number: number;
  readonly started_at: string;
  readonly address: string;
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  readonly protocol: string;
  readonly status?: number;
  readonly end: keyof typeof T.ends;
  readonly code?: string;
  readonly replay_of?: string;
  readonly wait_ms: number;
  readonly first_byte_ms?: number;
  readonly duration_ms?: number;
  readonly request_bytes: number;
  readonly response_bytes: number;
}

type Headers = readonly (readonly [string, string])[];

interface Body {
  readonly bytes: number;
  readonly kept_bytes: number;
  readonly is_whole: boolean;
  readonly is_truncated: boolean;
  readonly trailers: Headers;
}

interface Exchange extends Summary {
  readonly request_headers: Headers;
  readonly request_body: Body;
  readonly reason?: string;
  readonly response_headers?: Headers;
  readonly response_body: Body;
}

interface Replayed {
  readonly exchange_id: string;
  readonly outcome: keyof typeof T.outcomes;
  readonly status?: number;
  readonly code?: string;
}

/** @param name of the tunnel, as its page shows it */
export const Inspector = ({ tunnelId, name }: { tunnelId: string; name: string }) => {
  const path = `/tunnels/${tunnelId}/inspection`;
  const live = useLive<Inspection>(path);
  const [isStopping, setStopping] = useState(false);
  const { value } = live;
  if (!value) return live.fault ? <Notice kind="bad">{live.fault}</Notice> : <p class="quiet">{S.loading}</p>;
  if (value.state === 'unavailable') return <div class="card empty">{T.unavailable}</div>;
  const isOff = value.state === 'off';
  return (
    <section aria-label={T.title(name)}>
      <div class="card">
        <h2>{T.title(name)}</h2>
        <p>
          <span class={`chip ${value.state === 'capturing' ? 'warn' : ''}`}>{T.states[value.state]}</span>
          {!isOff && (
            <span class="quiet">
              {T.until} <Time of={value.ends_at} /> {T.facts(value.count, value.dropped_count)}
            </span>
          )}
        </p>
        <p class="quiet">{T.warning(value.body_bytes_max)}</p>
        <ActionForm
          submit={isOff ? T.start : T.extend}
          onSubmit={async (form) => {
            await ask('PUT', path, { body: { minutes: Number(form.get('minutes')) } });
            live.refresh();
          }}
          {...(!isOff && { onCancel: () => setStopping(true), cancel: T.stop })}
        >
          <Choice label={T.minutes} name="minutes" options={T.durations} />
        </ActionForm>
      </div>
      {!isOff && <Exchanges path={`${path}/exchanges`} name={name} />}
      {isStopping && (
        <Confirm
          title={T.confirmStop(name)}
          consequence={T.stopConsequence}
          submit={T.stop}
          onClose={() => setStopping(false)}
          onConfirm={() => ask('DELETE', path).then(live.refresh)}
        />
      )}
    </section>
  );
};

const Exchanges = ({ path, name }: { path: string; name: string }) => {
  const live = useLive<Page<Summary>>(`${path}?limit=${SHOWN_COUNT}`);
  const [openId, setOpenId] = useState<string>();
  const { value } = live;
  if (!value) return live.fault ? <Notice kind="bad">{live.fault}</Notice> : <p class="quiet">{S.loading}</p>;
  const rowFrom = (exchange: Summary) => ({
    key: exchange.id,
    cells: [
      <span key="request" class="mono">
        {exchange.method} {exchange.target}
      </span>,
      <Ending key="ending" exchange={exchange} />,
      T.ms(exchange.duration_ms),
      T.bytes(exchange.response_bytes),
      exchange.address,
      <Time key="at" of={exchange.started_at} />,
      <button
        key="open"
        type="button"
        class="small"
        aria-label={T.openNumber(exchange.number)}
        aria-expanded={openId === exchange.id}
        onClick={() => setOpenId(openId === exchange.id ? undefined : exchange.id)}
      >
        {T.open}
      </button>,
    ],
  });
  return (
    <>
      {live.fault && <Notice kind="bad">{live.fault}</Notice>}
      <Table label={T.exchanges} columns={T.columns} rows={value.items.map(rowFrom)} empty={T.empty} />
      {value.total > SHOWN_COUNT && <p class="quiet">{T.onlyNewest(SHOWN_COUNT, value.total)}</p>}
      {openId && <Detail key={openId} path={path} id={openId} name={name} onReplayed={live.refresh} />}
    </>
  );
};

const Ending = ({ exchange: { status, end, code, replay_of } }: { exchange: Summary }) => (
  <>
    {status !== undefined && <span class={`chip ${status < 400 ? 'good' : 'bad'}`}>{status}</span>}
    {end !== 'complete' && <span class={`chip ${end === 'failed' ? 'bad' : 'warn'}`}>{T.ends[end]}</span>}
    {code !== undefined && <span class="quiet">{code}</span>}
    {replay_of !== undefined && <span class="chip">{T.isReplay}</span>}
  </>
);

const Detail = ({
  path,
  id,
  name,
  onReplayed,
}: {
  path: string;
  id: string;
  name: string;
  onReplayed: () => void;
}) => {
  const own = `${path}/${id}`;
  const live = useLive<Exchange>(own);
  const [isReplaying, setReplaying] = useState(false);
  const [replayed, setReplayed] = useState<Replayed>();
  const { value } = live;
  if (!value) return live.fault ? <Notice kind="bad">{live.fault}</Notice> : <p class="quiet">{S.loading}</p>;
  const { request_body, response_body } = value;
  const obstacle = obstacleOf(value);
  return (
    <section class="card" aria-label={T.detail(value.number)}>
      <h2>{T.detail(value.number)}</h2>
      {live.fault && <Notice kind="bad">{live.fault}</Notice>}
      <p>
        <Ending exchange={value} />{' '}
        <span class="quiet">
          {T.timings(T.ms(value.wait_ms), T.ms(value.first_byte_ms), T.ms(value.duration_ms))}
        </span>
      </p>
      <h3>{T.request}</h3>
      <Head line={`${value.method} ${value.target} ${value.protocol}`} headers={value.request_headers} />
      <BodyPart
        path={`${own}/request-body`}
        label={T.requestBody}
        body={request_body}
        headers={value.request_headers}
      />
      <h3>{T.response}</h3>
      {value.response_headers ? (
        <>
          <Head line={`${value.status} ${value.reason ?? ''}`} headers={value.response_headers} />
          <BodyPart
            path={`${own}/response-body`}
            label={T.responseBody}
            body={response_body}
            headers={value.response_headers}
          />
        </>
      ) : (
        <p class="quiet">{T.noResponse}</p>
      )}
      {replayed && (
        <Notice kind={replayed.outcome === 'refused' ? 'bad' : 'good'}>
          {T.outcomes[replayed.outcome]} {replayed.status ?? replayed.code ?? ''}
        </Notice>
      )}
      <p class="row end">
        {obstacle && <span class="quiet">{obstacle}</span>}
        <button type="button" class="danger" disabled={!!obstacle} onClick={() => setReplaying(true)}>
          {T.replay}
        </button>
      </p>
      {isReplaying && (
        <ReplayDialog
          exchange={value}
          name={name}
          onClose={() => setReplaying(false)}
          onReplay={async (body) => {
            setReplayed(await ask<Replayed>('POST', `${own}/replay`, { body }));
            onReplayed();
          }}
        />
      )}
    </section>
  );
};

const obstacleOf = ({ end, request_body: body }: Exchange): string | undefined => {
  if (end === 'switched') return T.isSwitch;
  return body.is_whole && !body.is_truncated ? undefined : T.isCut;
};

const Head = ({ line, headers }: { line: string; headers: Headers }) => (
  <pre class="captured mono">{[line, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\n')}</pre>
);

const BodyPart = ({
  path,
  label,
  body,
  headers,
}: {
  path: string;
  label: string;
  body: Body;
  headers: Headers;
}) => {
  const [text, setText] = useState<string>();
  const [fault, setFault] = useState<string>();
  const coding = headers.find(([name]) => name.toLowerCase() === 'content-encoding')?.[1];
  const show = () =>
    void textOf(path, coding).then(setText, (thrown: unknown) => setFault(sentenceOf(thrown)));
  return (
    <>
      <p class="row">
        <span class="quiet">
          {T.body(label, body.bytes, body.is_truncated ? body.kept_bytes : undefined)}
        </span>
        {body.kept_bytes > 0 && (
          <>
            <button type="button" class="small" onClick={show} aria-label={T.showBody(label)}>
              {T.show}
            </button>
            <a href={`/api/admin${path}`} download aria-label={T.downloadBody(label)}>
              {T.download}
            </a>
          </>
        )}
      </p>
      {fault && <Notice kind="bad">{fault}</Notice>}
      {text !== undefined && (
        <label>
          {label}
          <textarea class="mono" readOnly rows={10} value={text} />
        </label>
      )}
      {body.trailers.length > 0 && <Head line={T.trailers} headers={body.trailers} />}
    </>
  );
};

/** The first part of a body, as if it were text. */
const textOf = async (path: string, coding: string | undefined): Promise<string> => {
  const bytes = await askBytes(path);
  const text = coding === 'gzip' || coding === 'deflate' ? await inflated(bytes, coding) : decoded(bytes);
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}\n${T.cutHere}` : text;
};

const decoded = (bytes: ArrayBuffer): string => new TextDecoder().decode(bytes.slice(0, 4 * SHOWN_CHARS));

/** No more of it than is shown: a small body may unpack to a very large one. */
const inflated = async (bytes: ArrayBuffer, coding: 'gzip' | 'deflate'): Promise<string> => {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(coding)).getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    while (text.length <= SHOWN_CHARS) {
      const { value, done } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    await reader.cancel();
  } catch {
    // The body was cut, or is not what it says: what came before can be read.
  }
  return text;
};

interface ReplayBody {
  readonly headers: Record<string, string>;
  readonly query: Record<string, string>;
}

const ReplayDialog = ({
  exchange,
  name,
  onReplay,
  onClose,
}: {
  exchange: Exchange;
  name: string;
  onReplay: (body: ReplayBody) => Promise<void>;
  onClose: () => void;
}) => {
  const headers = redactedHeaders(exchange.request_headers);
  const parameters = redactedParameters(exchange.target);
  const filled = (form: FormData, kind: string, names: readonly string[]) =>
    Object.fromEntries(
      names
        .map((each) => [each, String(form.get(`${kind} ${each}`) ?? '').trim()] as const)
        .filter(([, given]) => given !== ''),
    );
  return (
    <Dialog title={T.confirmReplay(exchange.number)} onClose={onClose}>
      <p>{T.replayConsequence(exchange.method, name)}</p>
      <ActionForm
        submit={T.replay}
        isDanger
        onCancel={onClose}
        onSubmit={async (form) => {
          await onReplay({
            headers: filled(form, 'header', headers),
            query: filled(form, 'parameter', parameters),
          });
          onClose();
        }}
      >
        {headers.length + parameters.length > 0 && <p class="quiet">{T.redacted}</p>}
        {headers.map((each) => (
          <Secret key={`header ${each}`} label={T.header(each)} name={`header ${each}`} />
        ))}
        {parameters.map((each) => (
          <Secret key={`parameter ${each}`} label={T.parameter(each)} name={`parameter ${each}`} />
        ))}
      </ActionForm>
    </Dialog>
  );
};

const Secret = ({ label, name }: { label: string; name: string }) => (
  <label>
    {label}
    <input type="password" name={name} autoComplete="off" spellcheck={false} maxLength={16_384} />
  </label>
);

const redactedHeaders = (headers: Headers): string[] => [
  ...new Set(headers.filter(([, value]) => value.includes(REDACTED)).map(([name]) => name.toLowerCase())),
];

const redactedParameters = (target: string): string[] => [
  ...new Set(
    target
      .slice(target.indexOf('?') + 1)
      .split('&')
      .filter((parameter) => parameter.endsWith(`=${REDACTED}`))
      .map((parameter) => parameter.slice(0, parameter.indexOf('='))),
  ),
];
