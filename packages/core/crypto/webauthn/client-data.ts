import { toBase64url } from '../../bytes/index.ts';
import { malformed, refused } from './cbor.ts';

/** Above what browsers write: a challenge of 43 characters, an origin of at most 300, and a remark of Chromium's. */
const MOST_BYTES = 2048;

/** What the page that asks must be, and what for. */
export interface ClientExpectation {
  readonly type: 'webauthn.create' | 'webauthn.get';
  readonly challenge: Uint8Array;
  /** Origins as browsers write them: scheme, host and port, without a slash at the end. */
  readonly origins: readonly string[];
}

/**
 * Checks what the browser says of who asked (WebAuthn level 2 section 5.8.1, and 7.1 or 7.2 steps on C). Members that
 * it does not know are passed over, as the standard has it. A page in a frame of another's is refused: who approves
 * shall see where they are. Token binding is refused where it is claimed, for nobody could check it.
 * @throws KeysteadError `webauthn.malformed`, `webauthn.type-differs`, `webauthn.challenge-differs`,
 *   `webauthn.origin-foreign`.
 */
export function requireClientData(json: Uint8Array, { type, challenge, origins }: ClientExpectation): void {
  const field = 'clientDataJSON';
  const client = objectOf(json, field);
  if (typeof client.type !== 'string' || typeof client.challenge !== 'string' || typeof client.origin !== 'string') {
    throw malformed(field, 'no type, challenge or origin');
  }
  if (client.type !== type) throw refused('webauthn.type-differs', `${field}.type`, shown(client.type));
  if (client.challenge !== toBase64url(challenge)) {
    throw refused('webauthn.challenge-differs', `${field}.challenge`, shown(client.challenge));
  }
  if (!origins.includes(client.origin)) {
    throw refused('webauthn.origin-foreign', `${field}.origin`, shown(client.origin));
  }
  if ((client.crossOrigin !== undefined && client.crossOrigin !== false) || client.topOrigin !== undefined) {
    throw refused('webauthn.origin-foreign', `${field}.crossOrigin`, 'a frame in a page of another origin');
  }
  if (isBound(client.tokenBinding)) throw malformed(`${field}.tokenBinding`, 'a token binding');
}

function objectOf(json: Uint8Array, field: string): Readonly<Record<string, unknown>> {
  if (json.length > MOST_BYTES) throw malformed(field, `${json.length} bytes of at most ${MOST_BYTES}`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(json));
  } catch {
    throw malformed(field, 'no JSON in UTF-8');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(field, 'no object');
  return value as Readonly<Record<string, unknown>>;
}

const isBound = (binding: unknown): boolean =>
  binding !== undefined &&
  !(typeof binding === 'object' && binding !== null && 'status' in binding && binding.status === 'supported');

/** What comes from outside goes into an error short and without control characters. */
const shown = (text: string): string => JSON.stringify(text.slice(0, 100));
