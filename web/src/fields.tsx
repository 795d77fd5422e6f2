/** The fields of forms, each with its label. */

export const Field = ({
  label,
  hint,
  ...input
}: {
  label: string;
  hint?: string;
  name: string;
  type?: string;
  autoComplete?: string;
  inputMode?: 'numeric';
  defaultValue?: string;
  min?: number;
  max?: number;
  required?: boolean;
  minLength?: number;
  maxLength?: number;
}) => (
  <label>
    {label}
    {hint && <span class="hint">{hint}</span>}
    <input required maxLength={400} spellcheck={false} {...(input as object)} />
  </label>
);

export const Choice = ({
  label,
  name,
  options,
}: {
  label: string;
  name: string;
  options: Readonly<Record<string, string>>;
}) => (
  <label>
    {label}
    <select name={name}>
      {Object.entries(options).map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  </label>
);
