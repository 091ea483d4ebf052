import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import Fastify from 'fastify';
import { pino } from 'pino';
import { asKeysteadError } from '../../http/status.ts';
import type { RestDomain } from '../domain.ts';
import { registerRest } from '../routes.ts';

const refused: string[] = [];
const asked: string[] = [];
/** Whether no parcel is admitted, and how those that were have ended. */
let full = false;
const left: boolean[] = [];
const ask = (what: string) => async (): Promise<never> => {
  asked.push(what);
  throw new Error('the domain was asked');
};
const domain: RestDomain = {
  whoami: ask('whoami'),
  tlsKey: ask('tlsKey'),
  prepareTlsKey: ask('prepareTlsKey'),
  useTlsKey: ask('useTlsKey'),
  trustStatus: ask('trustStatus'),
  publishTrustBundle: ask('publishTrustBundle'),
  reportUptake: ask('reportUptake'),
  devices: ask('devices'),
  device: ask('device'),
  certificate: ask('certificate'),
  record: ask('record'),
  records: ask('records'),
  birthCertificate: ask('birthCertificate'),
  batch: ask('batch'),
  enrolOperator: ask('enrolOperator'),
  enrolServer: ask('enrolServer'),
  openBatch: ask('openBatch'),
  challengeUnit: ask('challengeUnit'),
  provisionUnit: ask('provisionUnit'),
  challengeChip: ask('challengeChip'),
  deriveUnitKey: ask('deriveUnitKey'),
  revoke: ask('revoke'),
  readmit: ask('readmit'),
  decommission: ask('decommission'),
  authorise: ask('authorise'),
  authorisations: ask('authorisations'),
  withdrawAuthorisation: ask('withdrawAuthorisation'),
  enrolmentRequests: ask('enrolmentRequests'),
  enrolmentRequest: ask('enrolmentRequest'),
  approveEnrolment: ask('approveEnrolment'),
  refuseEnrolment: ask('refuseEnrolment'),
  acmeAccounts: ask('acmeAccounts'),
  acmeOrders: ask('acmeOrders'),
  revokeAcmeAccount: ask('revokeAcmeAccount'),
  revokeOwn: ask('revokeOwn'),
  revokeCa: ask('revokeCa'),
  campaigns: ask('campaigns'),
  planCampaign: ask('planCampaign'),
  campaign: ask('campaign'),
  dryRunCampaign: ask('dryRunCampaign'),
  stepCampaign: ask('stepCampaign'),
  reasonedCampaign: ask('reasonedCampaign'),
  insistOnCampaign: ask('insistOnCampaign'),
  reportFailedDevice: ask('reportFailedDevice'),
  renewalInfo: ask('renewalInfo'),
  requestRevocation: ask('requestRevocation'),
  approveRevocation: ask('approveRevocation'),
  withdrawRevocation: ask('withdrawRevocation'),
  revocationRequests: ask('revocationRequests'),
  revocationRequest: ask('revocationRequest'),
  factories: ask('factories'),
  factory: ask('factory'),
  factoryCommission: ask('factoryCommission'),
  orderFactory: ask('orderFactory'),
  enrolStation: ask('enrolStation'),
  stations: ask('stations'),
  signOffStation: ask('signOffStation'),
  policy: ask('policy'),
  changePolicy: ask('changePolicy'),
  keys: ask('keys'),
  dueKeys: ask('dueKeys'),
  key: ask('key'),
  orderKey: ask('orderKey'),
  count: ask('count'),
  recount: ask('recount'),
  signBackup: ask('signBackup'),
  recordDrill: ask('recordDrill'),
  admitHello: () => () => undefined,
  admitParcel: (from) => {
    if (full) throw new KeysteadError('consignment.busy', { field: 'address', seen: from });
    return (wasRefused) => left.push(wasRefused);
  },
  takeParcel: ask('takeParcel'),
  factoryNews: ask('factoryNews'),
  reconciliation: ask('reconciliation'),
  resolveConflict: ask('resolveConflict'),
  outbox: ask('outbox'),
  settle: ask('settle'),
  admitSigningFile: async () => {},
  keepSigningFile: ask('keepSigningFile'),
  signingFile: ask('signingFile'),
  signingContent: ask('signingContent'),
  requestSigning: ask('requestSigning'),
  signingRequests: ask('signingRequests'),
  signingRequest: ask('signingRequest'),
  addSigningStatement: ask('addSigningStatement'),
  withdrawSigning: ask('withdrawSigning'),
  signingResult: ask('signingResult'),
  signingKeys: ask('signingKeys'),
  signingWorklist: ask('signingWorklist'),
  orderSigningKey: ask('orderSigningKey'),
  signingTimestamps: ask('signingTimestamps'),
  tufRepositories: ask('tufRepositories'),
  signTufStatus: ask('signTufStatus'),
  refused: async (_certificate, thrown) => {
    refused.push(asKeysteadError(thrown).code);
  },
};
const app = Fastify();
registerRest(app, domain, pino({ enabled: false }));
after(() => app.close());
beforeEach(() => {
  refused.length = 0;
  asked.length = 0;
});

const csr = toBase64(new Uint8Array([0x30, 0]));
const line = 'line-1';
const unit = { ticketId: 't', deviceId: 'a', csr, line };
const shown = {
  ...{ ticketId: 't', deviceId: 'a', line, ekPublic: 'AAAA', akPublic: 'AAAA' },
  ...{ keyPublic: 'AAAA', attest: 'AAAA', signature: 'AAAA' },
};
const ended = '/devices/KS-0001/decommission';
const firmware = {
  ...{ id: 'a', product: 'p', environment: 'production', target: 't', version: '1.0', format: 'mcuboot' },
  ...{ image: { sha256: '0'.repeat(64) }, reason: 'r' },
};
const MALFORMED: readonly (readonly [field: string, method: 'GET' | 'POST', path: string, body?: unknown])[] = [
  ['serial', 'GET', '/certificates/not-hex'],
  ['serial', 'GET', '/certificates/abc'],
  ['id', 'GET', '/devices/a%20b'],
  ['deviceId', 'GET', '/records/a%0ab'],
  ['purpose', 'GET', '/keys?purpose=toothbrush'],
  ['state', 'GET', '/keys?state=lost'],
  ['endingWithin', 'GET', '/keys?endingWithin=soon'],
  ['colour', 'GET', '/keys?colour=red'],
  ['name', 'GET', '/keys/a%20b'],
  ['order', 'POST', '/key-orders', { order: '' }],
  ['order', 'POST', '/recounts', { order: '' }],
  ['from', 'GET', '/signing/worklist?key=pump-1&from=soon'],
  ['key', 'GET', '/signing/worklist'],
  ['statements', 'POST', '/signing/key-orders', { statements: [] }],
  ['repository', 'POST', '/tuf/..%2fpump/status', { roots: [], targets: 'AAAA' }],
  ['roots', 'POST', '/tuf/pump/status', { roots: Array.from({ length: 257 }, () => 'AAAA'), targets: 'AAAA' }],
  [
    'roots',
    'POST',
    '/tuf/pump/status',
    { roots: Array.from({ length: 25 }, () => 'AAAA'.repeat(21_000)), targets: '' },
  ],
  ['roots.0', 'POST', '/tuf/pump/status', { roots: ['AAAA'.repeat(22_000)], targets: 'AAAA' }],
  ['targets', 'POST', '/tuf/pump/status', { roots: [], targets: 'not base64' }],
  ['targets', 'POST', '/tuf/pump/status', { roots: [] }],
  ['time', 'POST', '/tuf/pump/status', { roots: [], targets: 'AAAA', time: '2099-01-01T00:00:00Z' }],
  ['id', 'GET', '/signing/requests/a%20b/timestamps'],
  ['statements.0', 'POST', '/trust/bundles', { statements: [''] }],
  ['bundle.sha256', 'POST', '/device/uptake', { bundle: { version: 1, sha256: 'ab' }, filter: null, firmware: null }],
  ['deviceId', 'POST', '/device/uptake', { bundle: null, filter: null, firmware: null, deviceId: 'a' }],
  ['serial', 'POST', '/revocations', { serial: 'abc', reason: 'superseded' }],
  ['serial', 'POST', '/revocations', { serial: 'xy', reason: 'superseded' }],
  ['deviceId', 'POST', '/revocations', { reason: 'superseded' }],
  ['deviceId', 'POST', '/revocations', { deviceId: 'a', serial: 'ab', reason: 'superseded' }],
  ['reason', 'POST', '/revocations', { deviceId: 'a', reason: 'certificateHold' }],
  ['reason', 'POST', '/revocations', { deviceId: 'a', reason: 'removeFromCRL' }],
  ['reason', 'POST', '/revocations', { deviceId: 'a' }],
  ['issuer', 'POST', '/revocations', { deviceId: 'a', issuer: 'server', reason: 'superseded' }],
  ['certificate', 'POST', '/revocations', { certificate: '%%', reason: 'superseded' }],
  ['spkiSha256', 'POST', '/revocations', { spkiSha256: 'ab', reason: 'keyCompromise' }],
  ['invalidityDate', 'POST', '/revocations', { serial: 'ab', reason: 'superseded', invalidityDate: 'yesterday' }],
  ['reason', 'POST', '/self/revocations', {}],
  ['statement', 'POST', '/revocation-requests', {}],
  ['statements', 'POST', '/ca-revocations', { statements: [] }],
  ['statements.0', 'POST', '/ca-revocations', { statements: [''] }],
  ['id', 'GET', '/revocation-requests/a%20b'],
  ['csr', 'POST', '/units', { ticketId: 't', deviceId: 'a', csr: '%%', line }],
  ['attestation', 'POST', '/units', { ticketId: 't', deviceId: 'a', csr, line, attestation: 'yes' }],
  ['attestation.secret', 'POST', '/units', { ...unit, attestation: { challengeId: '0'.repeat(32), secret: '%%' } }],
  ['attestation.challengeId', 'POST', '/units', { ...unit, attestation: { challengeId: '../', secret: 'AAAA' } }],
  ['ekPublic', 'POST', '/attestations', { ticketId: 't', deviceId: 'a', line }],
  ['keyPublic', 'POST', '/attestations', { ...shown, keyPublic: 'A'.repeat(2000) }],
  ['ekCertificate', 'POST', '/attestations', { ...shown, ekCertificate: '' }],
  ['line', 'POST', '/units', { ticketId: 't', deviceId: 'a', csr, line: '../x' }],
  ['ticket', 'POST', '/batches', {}],
  ['policy', 'POST', '/policy', { approvals: '{}' }],
  ['approvals', 'POST', '/policy', { policy: '{}', approvals: '' }],
  ['force', 'POST', '/policy', { policy: '{}', approvals: '{}', force: true }],
  ['csr', 'POST', '/operator-certificates', { name: 'ada', csr: '-----BEGIN' }],
  ['hosts', 'POST', '/server-certificates', { csr, hosts: [] }],
  ['sha256', 'GET', '/signing/files/abc'],
  ['sha256', 'GET', '/signing/files/..%2f..%2fkeyd/content'],
  ['id', 'GET', '/signing/requests/a%20b'],
  ['id', 'GET', '/signing/requests/a%20b/result'],
  ['after', 'GET', '/signing/requests?after=a%20b'],
  ['environment', 'POST', '/signing/requests', { ...firmware, environment: 'test' }],
  ['format', 'POST', '/signing/requests', { ...firmware, format: 'zip' }],
  ['image.sha256', 'POST', '/signing/requests', { ...firmware, image: { sha256: 'ab' } }],
  ['documents.sbom', 'POST', '/signing/requests', { ...firmware, documents: { sbom: 'ab' } }],
  ['keys', 'POST', '/signing/requests', { ...firmware, keys: [] }],
  ['approvals', 'POST', '/signing/requests', { ...firmware, approvals: 0 }],
  ['statement', 'POST', '/signing/requests/a/statements', {}],
  ['wiped', 'POST', ended, { wiped: 'all' }],
  ['roles', 'POST', ended, { roles: ['ca-operator'] }],
];
for (const [field, method, path, body] of MALFORMED) {
  test(`a malformed ${field} in ${method} ${path} ${JSON.stringify(body) ?? ''} is named, audited once and asked of nobody`, async () => {
    const url = `/api/v1${path}`;
    const answer = await app.inject(body === undefined ? { method, url } : { method, url, payload: body as object });
    assert.equal(answer.statusCode, 400);
    assert.equal(answer.json().error.code, 'request.malformed');
    assert.equal(answer.json().error.field, field);
    assert.deepEqual(refused, ['request.malformed']);
    assert.deepEqual(asked, []);
  });
}

test('a body that is no JSON, or sets a prototype, is refused and audited once', async () => {
  for (const payload of ['{', '{"__proto__":{"kind":"operator"}}', '{"constructor":{"prototype":{}}}']) {
    const headers = { 'content-type': 'application/json' };
    const answer = await app.inject({ method: 'POST', url: '/api/v1/batches', headers, payload });
    assert.equal(answer.statusCode, 400, payload);
  }
  assert.deepEqual(refused, ['request.malformed', 'request.malformed', 'request.malformed']);
  assert.deepEqual(asked, []);
});

test('what the domain throws is not audited a second time', async () => {
  const answer = await app.inject({ method: 'GET', url: '/api/v1/certificates/0aFF' });
  assert.equal(answer.statusCode, 500);
  assert.deepEqual([asked, refused], [['certificate'], []]);
});

test('the body of a parcel is read when it is admitted and not before, and one that is refused for what it is is told of', async () => {
  const url = '/api/v1/factories/berlin-1/consignments';
  const send = async (payload: string) => {
    const { statusCode } = await app.inject({
      method: 'POST',
      url,
      headers: { 'content-type': 'application/json' },
      payload,
    });
    return statusCode;
  };
  left.length = 0;
  assert.equal(await send('{'), 400);
  assert.equal(await send('{"v":1}'), 400);
  assert.equal(await send(JSON.stringify({ v: 1, consignment: 'x', tickets: [], contents: [], seal: 'x' })), 500);
  assert.deepEqual(left, [true, true, false]);
  full = true;
  try {
    assert.equal(await send('{'), 429);
  } finally {
    full = false;
  }
  assert.equal(left.length, 3);
});
