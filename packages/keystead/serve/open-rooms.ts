import { firmwareFormat } from '@keystead/core/firmware';
import type { IssuerId, Policy } from '@keystead/core/lifecycle';
import { HEADQUARTERS } from '@keystead/core/lifecycle';
import { parseVerifierKey } from '@keystead/core/log';
import { readCertificate } from '@keystead/core/x509';
import { Access, type AppendAudit, OutsideOperators, RefusalLog, Workloads } from '../access/index.ts';
import { appendAudit, LogPublisher } from '../audit/index.ts';
import { Authority, KeyClaims, RootCrlPublisher } from '../authority/index.ts';
import { BundlePublisher, Uptake } from '../bundles/index.ts';
import { FleetKeys } from '../fleet-keys/index.ts';
import type { Result } from '../keyd-client/index.ts';
import { Provisioning, Stations } from '../provisioning/index.ts';
import { Campaigns } from '../rotation/index.ts';
import { Signing, Worklist } from '../signing/index.ts';
import { openStore } from '../store/index.ts';
import { acmeOf } from './acme.ts';
import { BackupRecords } from './backup-records.ts';
import { CaRevocations } from './ca-revocations.ts';
import { FactoryRecords } from './factory-records.ts';
import { recordCommission } from './factory-role.ts';
import { recordFounding } from './founding.ts';
import { KeptTlsKeys } from './kept-tls-keys.ts';
import { KeyRecords } from './key-records.ts';
import { putRootCrls, recordCeremonies } from './later-ceremonies.ts';
import { PolicyChanges } from './policy-changes.ts';
import { publishedBundles, reportedUptake } from './published-bundles.ts';
import { Recounts } from './recounts.ts';
import type { Rooms, RoomsOptions } from './rooms.ts';
import { ServedHierarchy } from './served-hierarchy.ts';
import { TlsServing } from './tls-serving.ts';
import { TufRecords } from './tuf-records.ts';

/** How often CRLs that are due and signatures that were lost are looked for. */
const TICK_MS = 10_000;
/** A checkpoint a second keeps the published log fresh; entries of one second share it. */
const CHECKPOINT_MS = 1_000;

/** At a factory node people are headquarters' to certify, and to revoke. */
function operatorsOf({ certificates, factory }: Result<'trust'>, policy: () => Policy): OutsideOperators | undefined {
  const ca = certificates.operator;
  const list = factory?.crls.find((one) => one.ca === 'operator');
  return ca === undefined || list === undefined ? undefined : new OutsideOperators(ca, list.crl, policy);
}

/** Opens the records and wires every room with the next. @throws KeysteadError `store.*`, `keyd.*`, `policy.*` */
export async function openRooms(options: RoomsOptions): Promise<Rooms> {
  const { layout, keyd, clock, log } = options;
  const trust = await keyd.trust();
  const hierarchy = new ServedHierarchy(trust, clock, () => policies.policy);
  const { certificates } = hierarchy;
  // What a CA made whose key the root has revoked proves nothing any more.
  const believed = trust.issuers.filter(({ revoked }) => !revoked);
  const cas = Object.fromEntries(believed.map(({ id, certificate }) => [id, certificate]));
  const store = openStore({ path: layout.database, clock });
  const publisher = new LogPublisher({
    entries: { auditEntries: (from, count) => store.read((records) => records.auditEntries(from, count)) },
    dir: layout.log,
    signer: { signCheckpoint: async (request) => (await keyd.signCheckpoint(request)).checkpoint },
    keys: { log: parseVerifierKey(trust.vkey), cosigner: parseVerifierKey(trust.cosignVkey) },
    clock,
    minIntervalMs: options.checkpointEveryMs ?? CHECKPOINT_MS,
    onError: (error) => log.error({ err: error }, 'the log could not be published; it is tried again'),
  });
  const audit: AppendAudit = (tx, event) => {
    const entry = appendAudit(tx, event, clock);
    publisher.nudge();
    return entry;
  };
  const refusals = new RefusalLog({ store, audit, clock });
  const claims = new KeyClaims();
  const policies = PolicyChanges.of({ store, keyd, audit, refusals }, trust.policy);
  const factories = new FactoryRecords({ store, keyd, audit, refusals, claims, clock, layout });
  const { factory } = trust;
  const elsewhere: ReadonlySet<IssuerId> = new Set(factory === undefined ? [] : ['manufacturing']);
  const shared = {
    ...{ store, keyd, clock, audit, refusals, claims, issuers: trust.issuers, elsewhere },
    factories: () => factories.cas,
  };
  // Getters, so that each room goes by the policy in force when it looks, and not by the one of the start.
  const authority = new Authority({
    ...shared,
    crlDirectory: layout.crl,
    sealingKey: options.sealingKey,
    get policy() {
      return policies.policy;
    },
  });
  factories.authority = authority;
  const provisioning = new Provisioning({
    ...shared,
    get policy() {
      return policies.policy;
    },
    authority,
    recordsDirectory: layout.records,
    evidenceDirectory: layout.evidence,
  });
  const stations = new Stations({
    ...{ store, keyd, clock, audit, refusals, provisioning },
    site: trust.factory?.name ?? HEADQUARTERS,
    get policy() {
      return policies.policy;
    },
  });
  // ---- the indirect CRL of the root
  const rootCrl =
    trust.crlSigner === undefined
      ? undefined
      : new RootCrlPublisher({ store, keyd, clock, audit, policy: () => policies.policy }, layout.crl);
  const caRevocations = new CaRevocations({
    ...{ store, keyd, audit, refusals, authority, rootCrl },
    issuers: trust.issuers,
  });
  // ---- end of the indirect CRL of the root
  // ---- firmware signing
  const signing = new Signing({
    ...{ store, keyd, clock, audit, refusals, log, formatOf: firmwareFormat },
    directory: layout.signing,
    settings: options.signing,
    get policy() {
      return policies.policy;
    },
  });
  const workloads = new Workloads(options.workloads ?? [], clock, layout.data);
  const tuf = new TufRecords({
    ...{ store, keyd, audit, refusals, clock, log, policy: () => policies.policy },
    renewed: factory === undefined ? (options.tuf ?? []) : [],
  });
  // ---- end of firmware signing
  // ---- trust bundles
  const bundles = new BundlePublisher({
    ...{ store, keyd, clock, audit, refusals, log },
    directory: layout.bundles,
    get policy() {
      return policies.policy;
    },
  });
  const uptake = new Uptake(store, clock);
  // ---- end of trust bundles
  // ---- rotation campaigns
  const firmwareKeys = new Worklist(keyd, store, signing.files, () => policies.policy);
  const campaigns = new Campaigns({
    ...{ store, clock, audit, refusals },
    issuers: () => hierarchy.issuers,
    rollovers: () => hierarchy.rollovers,
    bundles: publishedBundles(bundles),
    firmwareKeys: async () => (await firmwareKeys.keys()).keys,
    uptakeOf: reportedUptake,
    get policy() {
      return policies.policy;
    },
  });
  // ---- end of rotation campaigns
  const tls = new TlsServing({
    ...{ authority, hierarchy, store, clock, log, bundles: publishedBundles(bundles) },
    kept: new KeptTlsKeys({ store, keyd, clock, audit }),
    get policy() {
      return policies.policy;
    },
  });
  const keys = new KeyRecords({ store, keyd, clock, log, audit, authority, policy: () => policies.policy });
  const backups = new BackupRecords({ store, keyd, audit, refusals });
  const recounts = new Recounts({ store, keyd, audit, refusals });
  const operators = operatorsOf(trust, () => policies.policy);
  const access = new Access({
    store,
    clock,
    refusals,
    cas,
    factories: () => factories.cas.filter(({ believed }) => believed),
    operators,
    isRevoked: (issuer) => trust.issuers.some(({ id, revoked }) => id === issuer && revoked),
    get policy() {
      return policies.policy;
    },
  });
  const acme = acmeOf(
    { ...shared, access, authority, hierarchy, layout, log, policy: () => policies.policy },
    options.acme,
  );
  const headquarters = trust.factory?.headquartersEvidence;
  const fleetKeys = new FleetKeys({
    ...{ store, authority, clock, audit, policy: () => policies.policy },
    ...{ database: layout.database, directory: layout.fleetKeys },
  });
  const imported = trust.later.length;
  const tick = setInterval(() => {
    keyd
      .trust()
      .then(({ later, factory: heard }) => {
        const list = heard?.crls.find(({ ca }) => ca === 'operator');
        if (list !== undefined) operators?.heard(list.crl);
        if (later.length !== imported) log.error('keyd has taken over another ceremony: start serve again');
      })
      .catch(() => {});
    const parts = [
      authority,
      keys,
      fleetKeys,
      signing,
      tuf,
      bundles,
      campaigns,
      ...(rootCrl === undefined ? [] : [rootCrl]),
    ];
    for (const part of parts) {
      part
        .tick()
        .catch((error: unknown) => log.error({ err: error }, 'what was due could not be done; it is tried again'));
    }
  }, TICK_MS);
  return {
    layout,
    store,
    access,
    authority,
    provisioning,
    keyd,
    outbox: headquarters === undefined ? undefined : provisioning.outbox(readCertificate(headquarters).spki),
    stations,
    acme,
    keys,
    tls,
    factories,
    refusals,
    clock,
    policies,
    get policy() {
      return policies.policy;
    },
    backups,
    recounts,
    rootCrl,
    caRevocations,
    signing,
    bundles,
    uptake,
    campaigns,
    workloads,
    tuf,
    certificates,
    hierarchy,
    async start() {
      await publisher.open();
      const { founding } = await policies.history();
      await recordFounding(store, audit, layout, {
        // The roots and the other CAs of headquarters are no keys of a factory node's.
        certificates: factory === undefined ? certificates : {},
        factory: factory !== undefined,
        evidenceSigner: trust.evidenceSigner,
        issuers: trust.issuers,
        policySha256: founding.sha256,
        keyd: await keyd.keys(),
      });
      await recordCeremonies(store, audit, trust, await keyd.keys());
      const { factory: standing } = await keyd.status();
      if (standing !== undefined) await recordCommission(store, audit, trust.issuers, standing, await keyd.keys());
      putRootCrls(layout, trust);
      await policies.start();
      await factories.start();
      // Before anything is repaired: what is found missing then has its reason in the log.
      const restored = await backups.recordRestores();
      const { abandoned } = await authority.start();
      if (abandoned.length > 0)
        log.warn({ abandoned }, 'signatures that never came into the records were put on the CRLs');
      if (restored) await authority.afterRestore();
      await caRevocations.start(trust.caRevocations);
      // Late is loud and no reason not to serve: the ticks go on trying.
      await rootCrl?.tick().catch((error: unknown) => log.error({ err: error }, 'no indirect CRL of the root yet'));
      if (rootCrl === undefined)
        log.warn('no ceremony has certified a signer of an indirect CRL: a CA is revoked in a ceremony alone');
      await provisioning.start();
      if (options.channelKeyId !== undefined) await keys.enterChannel(options.channelKeyId);
      await keys.tick();
      await signing.start();
      // Late is loud and no reason not to serve.
      await tuf.tick();
      if (factory === undefined) await bundles.start();
      if (factory === undefined) acme.start();
    },
    async close() {
      clearInterval(tick);
      await fleetKeys.close();
      await signing.settled();
      await tuf.settled();
      await bundles.settled();
      await acme.close();
      await refusals.flush();
      await publisher.close();
      await store.close();
    },
  };
}
