/** Kinds of settings: what the sections of the schema are made of. */
import { z } from 'zod';
import { Secret } from '../base/secret.ts';
import { listenAddressProblem, trustedRangeProblem } from './text-rules.ts';

/** A text in which `problemOf` finds nothing wrong. */
export const textWith = (problemOf: (text: string) => string | undefined) =>
  z
    .string()
    .min(1)
    .superRefine((text, context) => {
      const message = problemOf(text);
      if (message) context.addIssue({ code: 'custom', message });
    });

export const listenAddress = () => textWith(listenAddressProblem);
export const proxyRanges = () => z.array(textWith(trustedRangeProblem)).default([]).readonly();
export const filePath = () => textWith((text) => (text.includes('\0') ? 'must be a path' : undefined));
export const seconds = (min: number, max: number) => z.int().min(min).max(max);
export const secret = (bytesMin: number) =>
  textWith((text) => {
    if (text === PLACEHOLDER) return PLACEHOLDER_PROBLEM;
    return Buffer.byteLength(text) < bytesMin ? `must be at least ${bytesMin} bytes long` : undefined;
  }).transform((text) => new Secret(text));

// Everybody can read it, so it is refused wherever it is left in place.
export const PLACEHOLDER = 'change-me';
export const PLACEHOLDER_PROBLEM = 'is the example of the documentation: set a secret of your own';

/** True, and a switch only so that configurations of the official engine load unchanged. */
export const alwaysTrue = (message: string) =>
  z
    .boolean()
    .refine((isOn) => isOn, message)
    .default(true);

export const section = <Shape extends z.ZodRawShape>(doc: string, shape: Shape) =>
  z.strictObject(shape).readonly().meta({ doc });

// Rules between settings also run when one of them has a fault of its own: the operator is told everything at once.
export const always = {
  when: ({ value }: { value: unknown }) => typeof value === 'object' && value !== null,
};
