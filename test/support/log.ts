/** A logger that keeps its lines, so that tests can ask what was said. */
import type { LogFields, Logger } from '../../src/base/log.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export interface LogRecorder extends Logger {
  readonly lines: LogLine[];
  /** The lines that carry this error code. */
  withCode(code: string): LogLine[];
}

export const createLogRecorder = (lines: LogLine[] = [], inherited: LogFields = {}): LogRecorder => {
  const at = (level: LogLine['level']) => (fields: LogFields, message: string) => {
    lines.push({ level, message, fields: { ...inherited, ...fields } });
  };
  return {
    lines,
    withCode: (code) => lines.filter(({ fields }) => fields.code === code),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    isLevelEnabled: () => true,
    child: (fields) => createLogRecorder(lines, { ...inherited, ...fields }),
  };
};
