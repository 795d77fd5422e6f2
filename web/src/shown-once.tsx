/** Things to take away: secrets that are shown once, lines to paste, addresses as pictures for a phone. */
import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { encode } from 'uqr';
import { Dialog, Notice } from './parts.tsx';
import { S } from './strings.ts';

/** What a made credential is shown with, this once. */
export const ShownOnce = ({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}) => (
  <Dialog title={title} onClose={onClose}>
    <Notice>{S.once}</Notice>
    {children}
    <div class="row end">
      <button type="button" class="main" onClick={onClose}>
        {S.done}
      </button>
    </div>
  </Dialog>
);

const COPIED_MS = 2_000;

/** @param of what is copied, for who does not see what stands beside it */
export const CopyButton = ({ text, of = '' }: { text: string; of?: string }) => {
  const [told, setTold] = useState('');
  useEffect(() => {
    if (told === '') return undefined;
    const timer = setTimeout(() => setTold(''), COPIED_MS);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setTold(S.copied),
      () => setTold(S.notCopied),
    );
  return (
    <button type="button" class="small copy" onClick={() => void copy()}>
      <span aria-live="polite">{told || S.copy}</span>
      {of && <span class="unseen"> {of}</span>}
    </button>
  );
};

/** Something to copy, such as a secret that is shown once. */
export const Copyable = ({ label, hint, text }: { label: string; hint?: string; text: string }) => (
  <div class="copyable">
    <div class="row">
      <strong>{label}</strong>
      <CopyButton text={text} />
    </div>
    {hint && <p class="quiet">{hint}</p>}
    <code class="secret">{text}</code>
  </div>
);

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** An address as a picture that a phone reads (ISO/IEC 18004); dark on light in every colour scheme, as readers want it. */
export const Qr = ({ address, label }: { address: string; label: string }) => {
  const { data, size } = encode(address, { ecc: 'M', border: 4 });
  const path = data
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')))
    .join('');
  const { hostname } = new URL(address);
  return (
    <figure class="qr">
      <svg viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label} shape-rendering="crispEdges">
        <rect width={size} height={size} fill="#fff" />
        <path d={path} fill="#000" />
      </svg>
      <figcaption class="quiet">
        {label}
        {(LOOPBACK.includes(hostname) || hostname.endsWith('.localhost')) && ` ${S.qrLoopback}`}
      </figcaption>
    </figure>
  );
};
