/**
 * One captured exchange: its heads, its bodies on demand, and sending it again.
 *
 * Invariant: all of it was written by strangers: it is shown as text in elements that run nothing, and downloaded under a name of the
 * engine's. A body is fetched only when somebody asks for it, as each look at one is in the audit log.
 */
import { useState } from 'preact/hooks';
import { ask, askBytes, sentenceOf } from './api.ts';
import { useLive } from './live.ts';
import { ActionForm, Dialog, Notice } from './parts.tsx';
import { S } from './strings.ts';

const T = S.inspector;
/** What the engine writes in place of what it has not kept. */
const REDACTED = '•••';
const SHOWN_CHARS = 65_536;

export interface ExchangeSummary {
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

interface Exchange extends ExchangeSummary {
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

export const Ending = ({ exchange: { status, end, code, replay_of } }: { exchange: ExchangeSummary }) => (
  <>
    {status !== undefined && <span class={`chip ${status < 400 ? 'good' : 'bad'}`}>{status}</span>}
    {end !== 'complete' && <span class={`chip ${end === 'failed' ? 'bad' : 'warn'}`}>{T.ends[end]}</span>}
    {code !== undefined && <span class="quiet">{code}</span>}
    {replay_of !== undefined && <span class="chip">{T.isReplay}</span>}
  </>
);

/** @param path of the list that it is in */
export const CapturedExchange = ({
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
