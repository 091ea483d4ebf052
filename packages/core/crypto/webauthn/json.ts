import type { WebauthnAssertion } from './assertion.ts';
import { MOST_BYTES, malformed } from './cbor.ts';

/**
 * An assertion as browsers write it for a server: AuthenticationResponseJSON (WebAuthn level 3 section 5.1), which is
 * what `PublicKeyCredential.toJSON()` gives. Members beside those that count are passed over.
 * @throws KeysteadError `webauthn.malformed`.
 */
export function readAssertionJson(text: string): WebauthnAssertion {
  if (text.length > 4 * MOST_BYTES) throw malformed('assertion', `${text.length} characters`);
  const credential = membersOf(jsonOf(text));
  const response = membersOf(credential.response);
  return {
    credentialId: octets(credential.id, 'id'),
    authenticatorData: octets(response.authenticatorData, 'response.authenticatorData'),
    clientDataJson: octets(response.clientDataJSON, 'response.clientDataJSON'),
    signature: octets(response.signature, 'response.signature'),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('assertion', 'no JSON');
  }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  throw malformed('assertion', 'no AuthenticationResponseJSON');
}

function octets(text: unknown, field: string): Uint8Array {
  const bytes = typeof text === 'string' ? new Uint8Array(Buffer.from(text, 'base64url')) : new Uint8Array();
  if (bytes.length > 0 && Buffer.from(bytes).toString('base64url') === text) return bytes;
  throw malformed(`assertion.${field}`, 'no base64url');
}
