import { peerKeyWeakness } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { DerError } from '../der/strict.ts';
import { findExtension } from '../extensions.ts';
import { sameName } from '../names.ts';
import { ANY_POLICY, EXTENSIONS, type ExtendedKeyUsageName } from '../oids.ts';
import { ComparisonBudget, NameSpace } from './name-constraints.ts';
import {
  PolicyGraph,
  readInhibitAnyPolicy,
  readPolicies,
  readPolicyConstraints,
  readPolicyMappings,
} from './policies.ts';
import { fail, type Objection, type PathFailure } from './rules.ts';
import { Signatures } from './signed-by.ts';

/** The inputs of RFC 5280 section 6.1.1. */
export interface PathOptions {
  readonly now: Date;
  /** The purpose that the leaf must be for; any when left out. */
  readonly extKeyUsage?: ExtendedKeyUsageName;
  /** Whoever looks at a rehearsal itself says so; to everybody else its critical mark refuses the path. */
  readonly rehearsal?: boolean;
  /** user-initial-policy-set (c): dotted OIDs; any policy when left out. */
  readonly policies?: readonly string[];
  /** initial-explicit-policy (f): whether the path must be valid under one of `policies`; default false. */
  readonly requireExplicitPolicy?: boolean;
  /** initial-policy-mapping-inhibit (e); default false. */
  readonly inhibitPolicyMapping?: boolean;
  /** initial-any-policy-inhibit (g); default false. */
  readonly inhibitAnyPolicy?: boolean;
  /** The most certificates of a path, leaf and anchor included; default 10. */
  readonly maxPathLength?: number;
}

/** What one search spends, over all paths that it tries. */
export class PathBudget {
  readonly signatures = new Signatures();
  readonly comparisons = new ComparisonBudget();
}

/** A path that holds. */
export interface ValidPath {
  /** Dotted OIDs under which the path is valid, of the anchor's domain (6.1.6); holds anyPolicy when all are. */
  readonly policies: ReadonlySet<string>;
}

/** Critical extensions that are processed here, or need no processing. */
const PROCESSED = new Set<string>([
  EXTENSIONS.basicConstraints,
  EXTENSIONS.keyUsage,
  EXTENSIONS.extKeyUsage,
  EXTENSIONS.subjectAltName,
  EXTENSIONS.issuerAltName,
  EXTENSIONS.subjectKeyIdentifier,
  EXTENSIONS.authorityKeyIdentifier,
  EXTENSIONS.certificatePolicies,
  EXTENSIONS.policyMappings,
  EXTENSIONS.policyConstraints,
  EXTENSIONS.inhibitAnyPolicy,
  EXTENSIONS.nameConstraints,
  // Processed by the check of revocation, which whoever relies on the path has to ask for.
  EXTENSIONS.cRLDistributionPoints,
  EXTENSIONS.ocspNoCheck,
]);

/**
 * Validates one path by RFC 5280 section 6.1, from the anchor down. The anchor is trusted for its name and key, but
 * its own validity, constraints, policies and extensions hold as well (RFC 5937).
 * REQ-KEY-REV-03
 * @param path from the leaf to the anchor, names chained.
 * @returns what holds; else the failure and how many certificates held before it.
 */
export function validatePath(
  path: readonly CertificateInfo[],
  options: PathOptions,
  budget = new PathBudget(),
): ValidPath | { failure: PathFailure; held: number } {
  const state = new PathState(options, budget);
  for (let depth = path.length - 1; depth >= 0; depth -= 1) {
    const certificate = path[depth];
    if (certificate === undefined) break;
    const objection = state.take(certificate, depth, path[depth + 1]);
    if (objection !== undefined) {
      const failure = fail(objection.rule, certificate, depth, objection.detail);
      return { failure, held: path.length - 1 - depth };
    }
  }
  return { policies: state.policies };
}

/** The state variables of section 6.1.2, moved on by one certificate at a time. */
class PathState {
  readonly #options: PathOptions;
  readonly #budget: PathBudget;
  readonly #names: NameSpace;
  readonly #graph = new PolicyGraph();
  #wanted: ReadonlySet<string> | undefined;
  #explicitPolicy: number;
  #policyMapping: number;
  #inhibitAny: number;
  #maxPathLength = Number.POSITIVE_INFINITY;

  constructor(options: PathOptions, budget: PathBudget) {
    this.#options = options;
    this.#budget = budget;
    this.#names = new NameSpace(budget.comparisons);
    this.#wanted = options.policies === undefined ? undefined : new Set(options.policies);
    const unless = (set: boolean | undefined): number => (set === true ? 0 : Number.POSITIVE_INFINITY);
    this.#explicitPolicy = unless(options.requireExplicitPolicy);
    this.#policyMapping = unless(options.inhibitPolicyMapping);
    this.#inhibitAny = unless(options.inhibitAnyPolicy);
  }

  get policies(): ReadonlySet<string> {
    return this.#graph.accepted(this.#wanted);
  }

  /** Takes one certificate; what stands against it. `depth` 0 is the leaf; `issuer` is undefined for the anchor. */
  take(certificate: CertificateInfo, depth: number, issuer: CertificateInfo | undefined): Objection | undefined {
    try {
      const isLeaf = depth === 0;
      return (
        (issuer === undefined ? undefined : this.#checkSignature(certificate, issuer)) ??
        checkItself(certificate, this.#options) ??
        (issuer === undefined ? this.#startAt(certificate) : this.#checkBelow(certificate, isLeaf)) ??
        (isLeaf ? this.#finish(certificate) : this.#prepare(certificate, issuer === undefined))
      );
    } catch (error) {
      if (error instanceof DerError) return { rule: 'malformed', detail: error.message };
      throw error;
    }
  }

  /** 6.1.3 (a)(1). */
  #checkSignature(certificate: CertificateInfo, issuer: CertificateInfo): Objection | undefined {
    const seen = this.#budget.signatures.verdict(certificate, issuer);
    if (seen === undefined) return { rule: 'search-bound', detail: 'signatures' };
    if (seen.verdict === 'weak') return { rule: 'algorithm', detail: seen.why };
    return seen.verdict === 'valid' ? undefined : { rule: 'signature', detail: 'a signature that does not verify' };
  }

  /** What an anchor says of policies limits what is wanted (RFC 5937 section 3). */
  #startAt(anchor: CertificateInfo): Objection | undefined {
    const policies = policiesOf(anchor);
    if (policies === undefined || policies.any) return undefined;
    const wanted = this.#wanted;
    this.#wanted = new Set(policies.ids.filter((id) => wanted === undefined || wanted.has(id)));
    return undefined;
  }

  /** 6.1.3 (b) to (f). */
  #checkBelow(certificate: CertificateInfo, isLeaf: boolean): Objection | undefined {
    const selfIssued = isSelfIssued(certificate);
    if (!selfIssued || isLeaf) {
      const objection = this.#names.objection(certificate);
      if (objection !== undefined) return objection;
    }
    this.#graph.add(policiesOf(certificate), this.#inhibitAny > 0 || (!isLeaf && selfIssued));
    if (this.#explicitPolicy > 0 || !this.#graph.isNull) return undefined;
    return { rule: 'explicit-policy', detail: 'no policy is left under which the path is valid' };
  }

  /** 6.1.4. */
  #prepare(certificate: CertificateInfo, isAnchor: boolean): Objection | undefined {
    if (!isAnchor) {
      const mappings = extensionOf(certificate, EXTENSIONS.policyMappings, readPolicyMappings);
      for (const [from, to] of mappings ?? [])
        if (from === ANY_POLICY || to.has(ANY_POLICY)) return { rule: 'policy-mapping', detail: `${from} is mapped` };
      if (mappings !== undefined) this.#graph.map(mappings, this.#policyMapping > 0);
    }
    const constraints = findExtension(certificate.extensions, EXTENSIONS.nameConstraints);
    if (constraints !== undefined) this.#names.narrow(constraints.value);
    const counts = !isAnchor && !isSelfIssued(certificate);
    if (counts) this.#count();
    this.#tighten(certificate);
    if (!certificate.ca) return { rule: 'not-ca', detail: 'a certificate that is not of a CA' };
    if (counts) {
      if (this.#maxPathLength <= 0) return { rule: 'path-length', detail: 'one CA more than allowed' };
      this.#maxPathLength -= 1;
    }
    this.#maxPathLength = Math.min(this.#maxPathLength, certificate.pathLength ?? this.#maxPathLength);
    if (has(certificate, EXTENSIONS.keyUsage) && !certificate.keyUsage.includes('keyCertSign'))
      return { rule: 'key-usage', detail: certificate.keyUsage.join(' ') };
    // Not of RFC 5280, but of all that use it in TLS: a CA with purposes gives only these.
    return has(certificate, EXTENSIONS.extKeyUsage) ? checkPurpose(certificate, this.#options) : undefined;
  }

  /** 6.1.4 (h). */
  #count(): void {
    this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
    this.#policyMapping = Math.max(0, this.#policyMapping - 1);
    this.#inhibitAny = Math.max(0, this.#inhibitAny - 1);
  }

  /** 6.1.4 (i), (j). */
  #tighten(certificate: CertificateInfo): void {
    const constraints = extensionOf(certificate, EXTENSIONS.policyConstraints, readPolicyConstraints);
    this.#explicitPolicy = Math.min(this.#explicitPolicy, constraints?.requireExplicit ?? Number.POSITIVE_INFINITY);
    this.#policyMapping = Math.min(this.#policyMapping, constraints?.inhibitMapping ?? Number.POSITIVE_INFINITY);
    const skip = extensionOf(certificate, EXTENSIONS.inhibitAnyPolicy, readInhibitAnyPolicy);
    this.#inhibitAny = Math.min(this.#inhibitAny, skip ?? Number.POSITIVE_INFINITY);
  }

  /** 6.1.5, and what a leaf must be for whoever asks. */
  #finish(leaf: CertificateInfo): Objection | undefined {
    const constraints = extensionOf(leaf, EXTENSIONS.policyConstraints, readPolicyConstraints);
    this.#explicitPolicy = constraints?.requireExplicit === 0 ? 0 : Math.max(0, this.#explicitPolicy - 1);
    if (this.#explicitPolicy === 0 && this.policies.size === 0)
      return { rule: 'explicit-policy', detail: 'the path is valid under no policy that is accepted' };
    if (!leaf.ca && has(leaf, EXTENSIONS.nameConstraints))
      return { rule: 'name-unprocessed', detail: 'nameConstraints in a certificate that is not of a CA' };
    if (this.#options.extKeyUsage === undefined) return undefined;
    // Every purpose that Keystead checks is served by a signature: TLS 1.3 (RFC 8446 section 4.4.2), OCSP, firmware.
    if (has(leaf, EXTENSIONS.keyUsage) && !leaf.keyUsage.includes('digitalSignature'))
      return { rule: 'key-usage', detail: leaf.keyUsage.join(' ') };
    return checkPurpose(leaf, this.#options);
  }
}

/** What a certificate must be for its own part, wherever it stands. */
function checkItself(certificate: CertificateInfo, { now, rehearsal }: PathOptions): Objection | undefined {
  // RFC 5280 section 4.1.2.4. Nameless CAs would all chain to one another.
  if (certificate.issuer.rdns.length === 0) return { rule: 'malformed', detail: 'an issuer without a name' };
  // RFC 5280 section 4.2.1.9: what is not of a CA must not be meant to sign certificates.
  if (!certificate.ca && certificate.keyUsage.includes('keyCertSign') && has(certificate, EXTENSIONS.basicConstraints))
    return { rule: 'not-ca', detail: 'keyCertSign in a certificate that is not of a CA' };
  if (now < certificate.notBefore) return { rule: 'not-yet-valid', detail: certificate.notBefore.toISOString() };
  if (now > certificate.notAfter) return { rule: 'expired', detail: certificate.notAfter.toISOString() };
  const weakness = certificate.keyAlgorithm === undefined ? peerKeyWeakness(certificate.spki) : undefined;
  if (weakness !== undefined) return { rule: 'algorithm', detail: weakness };
  for (const { oid, critical, value } of certificate.extensions) {
    if (!critical) continue;
    if (!PROCESSED.has(oid) && !(rehearsal && oid === EXTENSIONS.rehearsal))
      return { rule: 'unknown-critical', detail: `the extension ${oid}` };
    const strange = oid === EXTENSIONS.certificatePolicies ? readPolicies(value).strangeQualifier : undefined;
    if (strange !== undefined) return { rule: 'unknown-critical', detail: `the policy qualifier ${strange}` };
  }
  return undefined;
}

/** anyExtendedKeyUsage, and no extension at all, name no purpose: neither is taken for the one that is asked for. */
function checkPurpose(certificate: CertificateInfo, { extKeyUsage }: PathOptions): Objection | undefined {
  if (extKeyUsage === undefined || certificate.extKeyUsage.includes(extKeyUsage)) return undefined;
  return { rule: 'ext-key-usage', detail: certificate.extKeyUsage.join(' ') || 'no purpose' };
}

const has = (certificate: CertificateInfo, oid: string): boolean =>
  findExtension(certificate.extensions, oid) !== undefined;

function extensionOf<T>(certificate: CertificateInfo, oid: string, read: (value: Uint8Array) => T): T | undefined {
  const extension = findExtension(certificate.extensions, oid);
  return extension === undefined ? undefined : read(extension.value);
}

const policiesOf = (certificate: CertificateInfo) =>
  extensionOf(certificate, EXTENSIONS.certificatePolicies, readPolicies);

/** RFC 5280 section 6.1: subject and issuer are the same name. */
export const isSelfIssued = (certificate: CertificateInfo): boolean =>
  sameName(certificate.subject, certificate.issuer);
