/** What JSON can carry. A member that is undefined is left out, as JSON.stringify does. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue | undefined };

/**
 * The one spelling of a JSON value (RFC 8785, JSON Canonicalization Scheme): members sorted by the UTF-16 code units
 * of their names, no blanks, numbers and strings as ECMAScript writes them. Two equal values give the same text, so
 * its UTF-8 bytes can be hashed and signed.
 * @throws TypeError for a number that is not finite, a string with a lone surrogate, or what is no JSON at all.
 */
export function canonicalJson(value: JsonValue): string {
  switch (typeof value) {
    case 'string':
      return quoted(value);
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError('JSON has no such number');
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      if (value === null) return 'null';
      if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
      return canonicalObject(value);
    default:
      throw new TypeError(`JSON has no ${typeof value}`);
  }
}

function canonicalObject(value: { readonly [name: string]: JsonValue | undefined }): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  // A Date, a Map or bytes would come out as {} or as something that does not read back.
  if (prototype !== Object.prototype && prototype !== null) throw new TypeError('not a plain object');
  let text = '';
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined) continue;
    text += `${text === '' ? '' : ','}${quoted(name)}:${canonicalJson(member)}`;
  }
  return `{${text}}`;
}

function quoted(text: string): string {
  // RFC 8785 section 3.2.2.2: a lone surrogate is an error; JSON.stringify would escape it.
  if (!text.isWellFormed()) throw new TypeError('a string with a lone surrogate');
  return JSON.stringify(text);
}

// Array.isArray does not narrow a readonly array.
const isArray = (value: object): value is readonly JsonValue[] => Array.isArray(value);
