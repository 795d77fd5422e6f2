/** The fields of forms, each with its label. */
import { useState } from 'preact/hooks';

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

/** A box for all, `all` in the form; without its tick a box for each, by `name`. */
export const AllOrSome = ({
  label,
  allLabel,
  name,
  options,
  isAll: isAllBefore = false,
  isChosen,
}: {
  label: string;
  allLabel: string;
  name: string;
  /** What each is called, by its value. */
  options: Readonly<Record<string, string>>;
  isAll?: boolean;
  /** Which have their tick at first; none if not given. */
  isChosen?: (value: string) => boolean;
}) => {
  const [isAll, setAll] = useState(isAllBefore);
  return (
    <fieldset>
      <legend>{label}</legend>
      <label class="check">
        <input
          type="checkbox"
          name="all"
          checked={isAll}
          onChange={({ currentTarget }) => setAll(currentTarget.checked)}
        />
        {allLabel}
      </label>
      {!isAll &&
        Object.entries(options).map(([value, text]) => (
          <label class="check" key={value}>
            <input type="checkbox" name={name} value={value} defaultChecked={isChosen?.(value) ?? false} />
            {text}
          </label>
        ))}
    </fieldset>
  );
};
