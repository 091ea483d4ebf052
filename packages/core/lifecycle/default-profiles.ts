import type { Profile } from '../x509/index.ts';
import { FIRMWARE_PROFILE } from './firmware/profile.ts';
import { CMP_RA_PROFILE, type OnlineCa } from './policy.ts';
import { ROOT_CRL_PROFILE } from './root-crl.ts';
import { STATION_PROFILE } from './station/rules.ts';
import { TSA_PROFILE } from './tsa.ts';

const HOUR = 3600;
const DAY = 86_400;
const YEAR = 365 * DAY;
/** CAs begin an hour early: the clock of an offline machine is set by hand, and others may be behind it. */
const CA_BACKDATE = HOUR;

/** What a request may name: each value must equal what the profile gives, so that none is ever a surprise. */
const NAMED_EXTENSIONS = ['subjectAltName', 'keyUsage', 'extKeyUsage'];

const root = (id: string, commonName: string, organization: string, description: string): Profile => ({
  id,
  description,
  issuer: 'self',
  subject: { commonName: { fixed: commonName }, organization },
  san: 'none',
  keyUsage: ['keyCertSign', 'cRLSign'],
  extKeyUsage: [],
  ca: { pathLength: id === 'root-ca' ? 1 : 0 },
  ocspNoCheck: false,
  validity: { seconds: 20 * YEAR, backdateSeconds: CA_BACKDATE },
  keyAlgorithms: ['P-384'],
  csrExtensions: [],
  requesters: ['ceremony'],
});

const onlineCa = (role: OnlineCa, organization: string, years: number, description: string): Profile => ({
  id: `${role}-ca`,
  description,
  issuer: 'root',
  subject: { commonName: { fixed: `${organization} ${role} CA` }, organization },
  san: 'none',
  // digitalSignature is left out: OCSP answers are signed by a delegated key, never by the CA's own.
  keyUsage: ['keyCertSign', 'cRLSign'],
  extKeyUsage: [],
  ca: { pathLength: 0 },
  ocspNoCheck: false,
  validity: { seconds: years * YEAR, backdateSeconds: CA_BACKDATE },
  // P-256: P-384 signs 25 times slower in software, and these sign for every device, often.
  keyAlgorithms: ['P-256'],
  csrExtensions: [],
  requesters: ['ceremony'],
});

const endEntity: Pick<Profile, 'ca' | 'ocspNoCheck' | 'keyUsage' | 'csrExtensions'> = {
  ca: false,
  ocspNoCheck: false,
  keyUsage: ['digitalSignature'],
  csrExtensions: NAMED_EXTENSIONS,
};

/** The profiles of a hierarchy whose certificates name `organization`. */
export function defaultProfiles(organization = 'Keystead'): Profile[] {
  return [
    root('root-ca', `${organization} Root CA`, organization, 'Anchor of every certificate; offline'),
    root('signing-root-ca', `${organization} Signing Root`, organization, 'Anchor of firmware signatures; offline'),
    onlineCa('manufacturing', organization, 20, 'Issues IDevIDs at the factory'),
    onlineCa('operational', organization, 10, 'Issues LDevIDs to devices in the field'),
    onlineCa('server', organization, 10, 'Issues certificates of servers and of the evidence signer'),
    onlineCa('operator', organization, 10, 'Issues certificates of the people who work with Keystead'),
    {
      ...endEntity,
      id: 'idevid',
      description: 'Initial device identity (IEEE 802.1AR), made once in the factory, as long-lived as the device',
      issuer: 'manufacturing',
      subject: { commonName: 'device-id', organization, serialNumber: 'device-id' },
      san: 'device-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: 'none', backdateSeconds: 0 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072'],
      requesters: ['station'],
    },
    {
      ...endEntity,
      id: 'ldevid',
      description: 'Local device identity (IEEE 802.1AR), short-lived, renewed by the device itself',
      issuer: 'operational',
      subject: { commonName: 'device-id', organization, serialNumber: 'device-id' },
      san: 'device-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: 7 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072'],
      requesters: ['device', 'authorised'],
    },
    {
      ...endEntity,
      id: 'tls-server',
      description: 'TLS server',
      issuer: 'server',
      subject: { commonName: 'host', organization },
      san: 'host',
      wildcards: true,
      extKeyUsage: ['serverAuth'],
      validity: { seconds: 90 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384'],
      requesters: ['system', 'authorised'],
    },
    {
      ...endEntity,
      id: 'operator',
      description: 'A person who works with Keystead; the key stands in the policy under the same name',
      issuer: 'operator',
      subject: { commonName: 'person', organization },
      san: 'person-urn',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'],
      requesters: ['operator', 'system'],
    },
    {
      ...endEntity,
      id: 'ocsp-responder',
      description: 'Delegated OCSP responder (RFC 6960 section 4.2.2.2); each CA issues its own',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} OCSP responder` }, organization },
      san: 'none',
      extKeyUsage: ['OCSPSigning'],
      ocspNoCheck: true,
      csrExtensions: [],
      validity: { seconds: DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: 'evidence-signer',
      description: 'Signs provisioning records and evidence of decommissioning',
      issuer: 'server',
      subject: { commonName: { fixed: `${organization} evidence signer` }, organization },
      san: 'none',
      extKeyUsage: [],
      csrExtensions: [],
      validity: { seconds: 3 * YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: TSA_PROFILE,
      description: 'Signs time stamps (RFC 3161); keyd certifies it for itself, and again each year',
      issuer: 'server',
      subject: { commonName: { fixed: `${organization} time-stamping authority` }, organization },
      san: 'none',
      extKeyUsage: ['timeStamping'],
      csrExtensions: [],
      // A time stamp is verified long after it was made; the CA's own end comes before this one.
      validity: { seconds: 10 * YEAR, backdateSeconds: 0 },
      keyAlgorithms: ['P-256'],
      requesters: [],
    },
    {
      ...endEntity,
      id: 'transcript-signer',
      description: 'One-time key that signs the transcript of a ceremony and is wiped',
      issuer: 'root',
      subject: { commonName: { fixed: `${organization} ceremony transcript` }, organization },
      san: 'none',
      extKeyUsage: [],
      csrExtensions: [],
      validity: { seconds: DAY, backdateSeconds: 0 },
      keyAlgorithms: ['P-384'],
      requesters: ['ceremony'],
    },
    {
      ...endEntity,
      id: CMP_RA_PROFILE,
      description: 'Registration authority of serve: signs its answers of CMP (RFC 9483 section 3.2)',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} CMP registration authority` }, organization },
      san: 'none',
      extKeyUsage: ['cmcRA'],
      csrExtensions: [],
      validity: { seconds: 30 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: 'scep-ra',
      description:
        'Opens and answers the messages of SCEP, where that is switched on; its key is made anew at each start',
      issuer: 'operational',
      subject: { commonName: { fixed: `${organization} SCEP RA` }, organization },
      san: 'none',
      // One key for both, as clients of SCEP expect (RFC 8894 section 2.1.2).
      keyUsage: ['digitalSignature', 'keyEncipherment'],
      extKeyUsage: ['cmcRA'],
      csrExtensions: [],
      validity: { seconds: 7 * DAY, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['RSA-3072'],
      requesters: ['system'],
    },
    {
      ...endEntity,
      id: STATION_PROFILE,
      description: 'A station at a factory line, for which an operator with the right to has signed',
      issuer: 'server',
      subject: { commonName: 'host', organization },
      san: 'host',
      extKeyUsage: ['clientAuth'],
      validity: { seconds: YEAR, backdateSeconds: 5 * 60 },
      keyAlgorithms: ['P-256', 'P-384'],
      requesters: ['operator'],
    },
    {
      ...endEntity,
      id: ROOT_CRL_PROFILE,
      description: 'Signs the indirect CRL of the root between ceremonies; each ceremony certifies it again',
      issuer: 'root',
      subject: { commonName: { fixed: `${organization} Root CRL signer` }, organization },
      san: 'none',
      keyUsage: ['cRLSign'],
      extKeyUsage: [],
      csrExtensions: [],
      // Longer than a list of the root lives, so that the ceremony that makes the next list is in time for it too.
      validity: { seconds: 2 * YEAR, backdateSeconds: CA_BACKDATE },
      keyAlgorithms: ['P-256'],
      requesters: [],
    },
    {
      ...endEntity,
      id: FIRMWARE_PROFILE,
      description: 'Signs firmware of one product in one environment; keyd sets both in the subject',
      issuer: 'signing-root',
      subject: { commonName: { fixed: 'firmware' }, organization },
      san: 'none',
      extKeyUsage: ['codeSigning'],
      csrExtensions: [],
      validity: { seconds: 3 * YEAR, backdateSeconds: CA_BACKDATE },
      keyAlgorithms: ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'],
      requesters: [],
    },
  ];
}
