import { z } from 'zod';
import { toBase64url } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { hostSan, ipOctets, ipText } from '../x509/index.ts';
import { DeviceIds, isInRange } from './device-ids.ts';
import {
  type DocumentKind,
  type OperatorDocument,
  parseDocumentOf,
  signDocumentOf,
  verifyDocumentOf,
} from './operator-document.ts';
import type { Policy } from './policy.ts';
import type { StatementSigner } from './signers/proof.ts';

/** The protocols by which somebody without a certificate of ours may come. */
export const ENROLMENT_WAYS = ['est', 'acme', 'cmp', 'scep'] as const;
export type EnrolmentWay = (typeof ENROLMENT_WAYS)[number];

/** Octets of the secret that is given out with an authorisation: 256 bits, so that nobody guesses it. */
export const AUTHORISATION_SECRET_BYTES = 32;

/** What an authorisation may allow where the policy sets nothing. */
export const DEFAULT_AUTHORISATION_LIMITS = { maxUses: 10_000, maxSeconds: 366 * 24 * 3600 } as const;

const time = z.iso.datetime({ offset: false, precision: 0 });
const hostPattern = z
  .string()
  .max(256)
  .refine((text) => isHostPattern(text), 'must be a host name, an address, or *. and a host name');

const AuthorisationSchema = z
  .strictObject({
    v: z.literal(1),
    id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, 'must be 1 to 64 letters, digits, _ -'),
    /** The profile of every certificate that it gives. */
    profile: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be the id of a profile'),
    /** For a server: its names. `*.plant.example` allows each name that ends so, at any depth, and that name itself not. */
    hosts: z.array(hostPattern).min(1).max(64).optional(),
    /** For devices that are known. */
    deviceIds: DeviceIds.optional(),
    /** How many keys may be certified with it. */
    uses: z.int().min(1),
    /** From when to when, UTC, whole seconds. */
    notBefore: time,
    notAfter: time,
    ways: z.array(z.enum(ENROLMENT_WAYS)).min(1).max(ENROLMENT_WAYS.length),
    /** Whether an operator looks at each request before it is granted. */
    approval: z.boolean(),
    /** An operator's approval of one request: SHA-256 of that request in DER, hex, and under which authorisation it came. */
    request: z
      .strictObject({
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex'),
        under: z.string().min(1).max(64),
      })
      .optional(),
  })
  .refine((a) => (a.hosts === undefined) !== (a.deviceIds === undefined), {
    path: ['hosts'],
    message: 'must be there, or deviceIds, and not both',
  })
  .refine((a) => a.notBefore < a.notAfter, { path: ['notAfter'], message: 'must be after notBefore' })
  .refine((a) => new Set(a.ways).size === a.ways.length, { path: ['ways'], message: 'must name each way once' })
  .refine((a) => a.request === undefined || (a.uses === 1 && !a.approval), {
    path: ['request'],
    message: 'is approved for one use, and needs no further approval',
  });

/**
 * What lets somebody who has no certificate of ours enrol: for which names, by which profile, how often, and until
 * when. keyd goes by it and by nothing that the front end says beside it.
 */
export type Authorisation = z.infer<typeof AuthorisationSchema>;
export type AuthorisationDraft = Omit<Authorisation, 'v'>;
export type SignedAuthorisation = OperatorDocument<Authorisation>;

/** For whom a certificate is asked: the names that the profile puts into it. */
export type AuthorisedSubject = { readonly deviceId: string } | { readonly hosts: readonly string[] };

const KIND: DocumentKind<Authorisation> = {
  context: 'keystead enrolment authorisation v1\n',
  name: 'authorisation',
  schema: AuthorisationSchema,
  codes: {
    malformed: 'authorisation.malformed',
    signerUnknown: 'authorisation.signer-unknown',
    signerForbidden: 'authorisation.signer-forbidden',
    signatureInvalid: 'authorisation.signature-invalid',
  },
};

/**
 * Signs an authorisation. Returns one line of JSON. REQ-KEY-STO-03
 * @throws KeysteadError `authorisation.malformed` with the field.
 */
export const signAuthorisation = (
  draft: AuthorisationDraft,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads an authorisation; verifies nothing. @throws KeysteadError `authorisation.malformed`. */
export const parseAuthorisation = (text: string): SignedAuthorisation => parseDocumentOf(KIND, text);

/**
 * Verifies who signed an authorisation, whether the policy lets them, and that it allows no more than the policy does.
 * The time is not looked at: that is {@link requireAuthorisationTime}, which is asked each time that it is used.
 * @throws KeysteadError `authorisation.malformed`, `.signer-unknown`, `.signer-forbidden`, `.signature-invalid`,
 *   `.exceeds-policy`.
 */
export function verifyAuthorisation(text: string, policy: Policy): SignedAuthorisation {
  const document = verifyDocumentOf(KIND, text, 'enrolment.authorise', policy);
  const { uses, notBefore, notAfter } = document.content;
  const { maxUses, maxSeconds } = policy.authorisations ?? DEFAULT_AUTHORISATION_LIMITS;
  if (uses > maxUses) {
    throw new KeysteadError('authorisation.exceeds-policy', { field: 'uses', seen: `${uses} of at most ${maxUses}` });
  }
  const seconds = (Date.parse(notAfter) - Date.parse(notBefore)) / 1000;
  if (seconds > maxSeconds) {
    const seen = `${seconds} s of at most ${maxSeconds}`;
    throw new KeysteadError('authorisation.exceeds-policy', { field: 'notAfter', seen });
  }
  return document;
}

/** @throws KeysteadError `authorisation.not-yet-valid`, `authorisation.expired`. */
export function requireAuthorisationTime({ notBefore, notAfter }: Authorisation, now: Date): void {
  if (now.getTime() < Date.parse(notBefore)) {
    throw new KeysteadError('authorisation.not-yet-valid', { field: 'notBefore', seen: notBefore });
  }
  if (now.getTime() >= Date.parse(notAfter)) {
    throw new KeysteadError('authorisation.expired', { field: 'notAfter', seen: notAfter });
  }
}

/** @throws KeysteadError `authorisation.way-forbidden`. */
export function requireAuthorisedWay({ ways }: Authorisation, way: EnrolmentWay): void {
  if (!ways.includes(way)) throw new KeysteadError('authorisation.way-forbidden', { field: 'way', seen: way });
}

/** @throws KeysteadError `authorisation.name-forbidden` with the first name that is not one of those allowed. */
export function requireAuthorisedNames(authorisation: Authorisation, subject: AuthorisedSubject): void {
  const forbidden = (field: string, seen: string) => new KeysteadError('authorisation.name-forbidden', { field, seen });
  if ('deviceId' in subject) {
    const { deviceIds } = authorisation;
    if (deviceIds === undefined || !isInRange(deviceIds, subject.deviceId)) {
      throw forbidden('deviceId', subject.deviceId);
    }
    return;
  }
  const patterns = authorisation.hosts ?? [];
  if (subject.hosts.length === 0) throw forbidden('hosts', 'none');
  for (const host of subject.hosts) {
    if (!patterns.some((pattern) => matchesHost(pattern, host))) throw forbidden('hosts', host);
  }
}

/**
 * Whether a host name or an address is one that `pattern` allows. Names are in lower case; an address is the same in
 * each of its spellings, and none is below a suffix.
 */
export function matchesHost(pattern: string, host: string): boolean {
  const address = addressOf(host);
  if (!pattern.startsWith('*.')) return address === undefined ? pattern === host : address === addressOf(pattern);
  return address === undefined && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1;
}

/** A new secret as people and configuration files carry it: base64url without padding. */
export const authorisationSecretText = (secret: Uint8Array): string => toBase64url(secret);

/** An address in its canonical text; undefined for what is none. */
function addressOf(host: string): string | undefined {
  const octets = ipOctets(host);
  return octets === undefined ? undefined : ipText(octets);
}

function isHostPattern(text: string): boolean {
  try {
    // A wildcard over a whole top-level domain or an address would be nobody's to give.
    const name = text.startsWith('*.') ? text.slice(2) : text;
    if (name === text) return hostSan(name) !== '';
    // The end of an IPv4 address is in the letters of a host name, but no domain ends with a number.
    return name.includes('.') && hostSan(name).startsWith('DNS:') && !/\.\d+$/.test(name);
  } catch {
    return false;
  }
}
