import { ACME_ERRORS } from './codes/acme.ts';
import { AGENT_ERRORS } from './codes/agent.ts';
import { APPROVER_KEYS_ERRORS } from './codes/approver-keys.ts';
import { ATTESTATION_ERRORS } from './codes/attestation.ts';
import { AUDIT_ERRORS } from './codes/audit.ts';
import { AUTHORISATION_ERRORS } from './codes/authorisation.ts';
import { BACKUP_ERRORS } from './codes/backup.ts';
import { CEREMONY_ERRORS } from './codes/ceremony.ts';
import { CERTIFICATES_ERRORS } from './codes/certificates.ts';
import { CMP_ERRORS } from './codes/cmp.ts';
import { CRYPTO_ERRORS } from './codes/crypto.ts';
import { EST_ERRORS } from './codes/est.ts';
import { FACTORY_ERRORS } from './codes/factory.ts';
import { FIRMWARE_ERRORS } from './codes/firmware.ts';
import { KEYD_ERRORS } from './codes/keyd.ts';
import { KEYS_ERRORS } from './codes/keys.ts';
import { KEYSTORE_ERRORS } from './codes/keystore.ts';
import { POLICY_ERRORS } from './codes/policy.ts';
import { REQUESTS_ERRORS } from './codes/requests.ts';
import { REVOCATION_ERRORS } from './codes/revocation.ts';
import { ROTATION_ERRORS } from './codes/rotation.ts';
import { SCEP_ERRORS } from './codes/scep.ts';
import { SERVICE_ERRORS } from './codes/service.ts';
import { SIGNING_ERRORS } from './codes/signing.ts';
import { STATION_ERRORS } from './codes/station.ts';
import { TICKET_ERRORS } from './codes/ticket.ts';
import { TLS_KEY_ERRORS } from './codes/tls-key.ts';
import { TRUST_BUNDLE_ERRORS } from './codes/trust-bundle.ts';
import type { ErrorEntry } from './entry.ts';

export type { ErrorEntry, ErrorKind } from './entry.ts';

/** Every failure that Keystead reports on purpose. Codes are stable: never rename, only add. */
export const ERRORS = {
  ...REQUESTS_ERRORS,
  ...SERVICE_ERRORS,
  ...KEYD_ERRORS,
  ...CERTIFICATES_ERRORS,
  ...KEYS_ERRORS,
  ...CRYPTO_ERRORS,
  ...KEYSTORE_ERRORS,
  ...ATTESTATION_ERRORS,
  ...POLICY_ERRORS,
  ...APPROVER_KEYS_ERRORS,
  ...BACKUP_ERRORS,
  ...AGENT_ERRORS,
  ...CEREMONY_ERRORS,
  ...REVOCATION_ERRORS,
  ...EST_ERRORS,
  ...CMP_ERRORS,
  ...ACME_ERRORS,
  ...SCEP_ERRORS,
  ...AUTHORISATION_ERRORS,
  ...TICKET_ERRORS,
  ...FIRMWARE_ERRORS,
  ...SIGNING_ERRORS,
  ...TLS_KEY_ERRORS,
  ...TRUST_BUNDLE_ERRORS,
  ...FACTORY_ERRORS,
  ...AUDIT_ERRORS,
  ...STATION_ERRORS,
  ...ROTATION_ERRORS,
} as const satisfies Record<string, ErrorEntry>;

/** A stable error code such as `csr.signature-invalid`. */
export type ErrorCode = keyof typeof ERRORS;
