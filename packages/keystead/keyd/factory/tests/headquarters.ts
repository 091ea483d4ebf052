import { type DerCertificate, type DerCrl, fromPem, type Serial, toBase64, toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, generateSoftwareKey, type Signer, sha256, softwareSigner } from '@keystead/core/crypto';
import {
  type BatchTicketDraft,
  type Commission,
  caProfile,
  certify,
  type DemoPolicyOptions,
  demoPolicy,
  type FactoryCa,
  factoryCaProfile,
  factoryEvidenceProfile,
  formatPolicy,
  type Policy,
  parseFactoryRequest,
  profileOf,
  signCommission,
  signTicket,
} from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import {
  assembleSigned,
  CertificateTemplate,
  namesFor,
  newSerial,
  type Profile,
  parseCsr,
  readCertificate,
  tbsCertList,
} from '@keystead/core/x509';

/** A CA of headquarters whose key the test holds. */
export interface TestCa {
  readonly certificate: DerCertificate;
  readonly signer: Signer;
}

const DAY = 86_400;
export const newSigner = (algorithm: 'P-256' | 'P-384' | 'Ed25519' = 'P-256'): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);

type Role = 'root' | 'signing-root' | 'manufacturing' | 'operational' | 'server' | 'operator';

/** What a commission is to be; what is left out is as headquarters would do it. */
export interface CommissionWanted {
  readonly act?: Commission['act'];
  readonly number?: number;
  readonly factory?: string;
  readonly deviceIdPrefixes?: string[];
  /** How long the sub-CAs are good for. */
  readonly seconds?: number;
  readonly requestSha256?: string;
  readonly policy?: string;
  /** Instead of the profile of a sub-CA. */
  readonly profiles?: Partial<Record<FactoryCa, Profile>>;
  readonly certificates?: Partial<Commission['certificates']>;
  readonly crls?: Commission['crls'];
  /** Who signs it, in place of the evidence key. */
  readonly signer?: Signer;
}

/**
 * Headquarters as a factory node sees it, made by core functions alone: a root, four CAs, an evidence key, the operators
 * `ada` (ca-operator), `lin` (line-operator) `pol` (policy-administrator) and `ann` (approver), and CRLs. Nothing of the program's own
 * issuing is in it, so that what a node accepts is judged by itself.
 */
/** What the servers of its nodes are called. */
export const SERVER_NAMES = ['localhost', 'berlin-1.example', '127.0.0.1', '::1'];

export class FakeHeadquarters {
  readonly clock: Clock;
  readonly policy: Policy;
  readonly policyText: string;
  readonly people: Readonly<Record<'ada' | 'lin' | 'pol' | 'ann', Signer>>;
  readonly cas: Readonly<Record<Role, TestCa>>;
  readonly evidence: TestCa;
  /** By CA: serials that its next CRLs list. */
  readonly revoked = new Map<Role, Serial[]>();
  #crlNumber = 0;

  private constructor(
    clock: Clock,
    policy: Policy,
    people: FakeHeadquarters['people'],
    cas: FakeHeadquarters['cas'],
    evidence: TestCa,
  ) {
    this.clock = clock;
    this.policy = policy;
    this.policyText = formatPolicy(policy);
    this.people = people;
    this.cas = cas;
    this.evidence = evidence;
  }

  /** @param known keys of people that the test made itself. */
  static async make(
    clock: Clock,
    more: Partial<DemoPolicyOptions> = {},
    known: Partial<FakeHeadquarters['people']> = {},
  ): Promise<FakeHeadquarters> {
    const people = { ada: newSigner(), lin: newSigner(), pol: newSigner(), ann: newSigner(), ...known };
    const policy = demoPolicy({
      operators: [
        { name: 'ada', roles: ['ca-operator'], spki: people.ada.spki },
        { name: 'lin', roles: ['line-operator'], spki: people.lin.spki },
        { name: 'pol', roles: ['policy-administrator'], spki: people.pol.spki },
        { name: 'ann', roles: ['approver'], spki: people.ann.spki },
      ],
      issued: clock.now(),
      factory: {},
      urls: {
        crl: 'http://hq.example/crl/{ca}.crl',
        ocsp: 'http://hq.example/ocsp/{ca}',
        caIssuers: 'http://hq.example/ca/{ca}.cer',
      },
      ...more,
    });
    const made = async (profile: Profile, issuer: TestCa | 'self', signer = newSigner()): Promise<TestCa> => {
      const certificate = await certify({
        profile,
        issuer: issuer === 'self' ? 'self' : issuer.certificate,
        signer: issuer === 'self' ? signer : issuer.signer,
        spki: signer.spki,
        urls: {},
        now: clock.now(),
      });
      return { certificate, signer };
    };
    const root = await made(caProfile(policy, 'root'), 'self', newSigner('P-384'));
    const cas = {
      root,
      'signing-root': await made(caProfile(policy, 'signing-root'), 'self', newSigner('P-384')),
      manufacturing: await made(caProfile(policy, 'manufacturing'), root),
      operational: await made(caProfile(policy, 'operational'), root),
      server: await made(caProfile(policy, 'server'), root),
      operator: await made(caProfile(policy, 'operator'), root),
    };
    const evidence = await made(profileOf(policy, 'evidence-signer'), cas.server);
    return new FakeHeadquarters(clock, policy, people, cas, evidence);
  }

  get rootSha256(): string {
    return certSha256(this.cas.root.certificate);
  }

  /** A certificate by the policy's profile, for whoever it names. */
  async certificate(
    profileId: string,
    named: Parameters<typeof namesFor>[1],
    key: Signer,
    by: Role = 'server',
  ): Promise<DerCertificate> {
    const profile = profileOf(this.policy, profileId);
    return issue(profile, named, key, this.cas[by], this.clock.now());
  }

  /** A ticket for ten units of `berlin-1` with the ids B1-0001 to B1-0100, signed by ada. */
  ticket(more: Partial<BatchTicketDraft> = {}): Promise<string> {
    const now = this.clock.now().getTime();
    return signTicket(
      {
        id: 'batch-1',
        factory: 'berlin-1',
        model: 'KS-PUMP-1',
        quota: 10,
        notBefore: new Date(now - 60_000).toISOString(),
        notAfter: new Date(now + 20 * 86_400_000).toISOString(),
        lines: ['line-1'],
        deviceIds: { prefix: 'B1-', from: 1, to: 100, width: 4 },
        profile: 'idevid',
        ...more,
      },
      'ada',
      this.people.ada,
    );
  }

  /** The certificate of an operator, for the key that stands in the policy. */
  operator(name: 'ada' | 'lin' | 'pol'): Promise<DerCertificate> {
    return this.certificate('operator', { person: name }, this.people[name], 'operator');
  }

  /** A full CRL of a CA, good for as long as the policy says. */
  async crl(
    ca: Role,
    more: { readonly number?: number; readonly at?: Date; readonly by?: TestCa } = {},
  ): Promise<DerCrl> {
    this.#crlNumber += 1;
    const { certificate, signer } = more.by ?? this.cas[ca];
    const at = more.at ?? this.clock.now();
    const thisUpdate = new Date(Math.floor(at.getTime() / 1000) * 1000);
    const { crlSeconds, rootCrlSeconds } = this.policy.revocation;
    const seconds = ca === 'root' ? rootCrlSeconds : crlSeconds;
    const tbs = tbsCertList({
      issuer: certificate,
      signatureAlgorithm: signer.signatureAlgorithm,
      thisUpdate,
      nextUpdate: new Date(thisUpdate.getTime() + seconds * 1000),
      number: more.number ?? this.#crlNumber,
      entries: (this.revoked.get(ca) ?? []).map((serial) => ({ serial, revokedAt: thisUpdate })),
    });
    const signed: Uint8Array = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs));
    return signed as DerCrl;
  }

  /** Puts a certificate on the next CRLs of its CA. */
  revoke(ca: Role, certificate: DerCertificate): void {
    this.revoked.set(ca, [...(this.revoked.get(ca) ?? []), readCertificate(certificate).serial]);
  }

  async crls(): Promise<Commission['crls']> {
    const all: Record<string, string> = {};
    for (const ca of ['root', 'manufacturing', 'operational', 'server', 'operator'] as const)
      all[ca] = toBase64(await this.crl(ca));
    return all;
  }

  /** The answer to a node's request. Returns the file of a commission. */
  async commission(requestBytes: Uint8Array, wanted: CommissionWanted = {}): Promise<string> {
    const request = parseFactoryRequest(requestBytes);
    const factory = wanted.factory ?? request.factory;
    const spki = (slot: keyof typeof request.certificateRequests) =>
      parseCsr(fromPem('CERTIFICATE REQUEST', request.certificateRequests[slot])[0] ?? new Uint8Array(0)).spki;
    const sub = (ca: FactoryCa) =>
      certify({
        profile:
          wanted.profiles?.[ca] ?? factoryCaProfile(this.policy, ca, factory, wanted.seconds ?? 30 * DAY, SERVER_NAMES),
        issuer: this.cas[ca].certificate,
        signer: this.cas[ca].signer,
        spki: spki(ca),
        urls: {},
        now: this.clock.now(),
      });
    const evidence = await certify({
      profile: factoryEvidenceProfile(this.policy, factory),
      issuer: this.cas.server.certificate,
      signer: this.cas.server.signer,
      spki: spki('evidence'),
      urls: {},
      now: this.clock.now(),
    });
    const pem = (der: DerCertificate) => toPem('CERTIFICATE', der);
    const log = { vkey: newSigner('Ed25519').spki, cosignVkey: newSigner('Ed25519').spki };
    return signCommission(
      {
        act: wanted.act ?? 'commission',
        factory,
        number: wanted.number ?? 1,
        issuedAt: `${this.clock.now().toISOString().slice(0, 19)}Z`,
        requestSha256: wanted.requestSha256 ?? toHex(sha256(requestBytes)),
        orderSha256: 'a'.repeat(64),
        deviceIdPrefixes: wanted.deviceIdPrefixes ?? ['B1-'],
        serverNames: SERVER_NAMES,
        issued: {
          manufacturing: pem(await sub('manufacturing')),
          server: pem(await sub('server')),
          evidence: pem(evidence),
        },
        certificates: {
          root: pem(this.cas.root.certificate),
          'signing-root': pem(this.cas['signing-root'].certificate),
          manufacturing: pem(this.cas.manufacturing.certificate),
          operational: pem(this.cas.operational.certificate),
          server: pem(this.cas.server.certificate),
          operator: pem(this.cas.operator.certificate),
          'evidence-signer': pem(this.evidence.certificate),
          ...wanted.certificates,
        },
        crls: wanted.crls ?? (await this.crls()),
        policy: toBase64(Buffer.from(wanted.policy ?? this.policyText, 'utf8')),
        log: {
          vkey: formatVerifierKey('hq.example/log', 'ed25519', log.vkey),
          cosignVkey: formatVerifierKey('hq.example/log/keyd-time', 'cosignature-v1', log.cosignVkey),
        },
      },
      wanted.signer ?? this.evidence.signer,
    );
  }
}

/** Signs a certificate of an end entity, with whatever names a profile gives. */
export async function issue(
  profile: Profile,
  named: Parameters<typeof namesFor>[1],
  key: Pick<Signer, 'spki'>,
  by: TestCa,
  now: Date,
): Promise<DerCertificate> {
  const { seconds, backdateSeconds } = profile.validity;
  const begin = Math.floor(now.getTime() / 1000) * 1000;
  const tbs = new CertificateTemplate(profile, { certificate: by.certificate }, {}).tbs({
    ...namesFor(profile, named),
    serial: newSerial(),
    notBefore: new Date(begin - backdateSeconds * 1000),
    notAfter: seconds === 'none' ? 'none' : new Date(begin + seconds * 1000),
    spki: key.spki,
    signatureAlgorithm: by.signer.signatureAlgorithm,
  });
  return assembleSigned(tbs, by.signer.signatureAlgorithm, await by.signer.sign(tbs)) as DerCertificate;
}
