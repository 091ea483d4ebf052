// The rule of the rooms (docs/architecture.md): imports run downwards only, and what a room may not know is
// as important as what it does. Each entry of `mayImport` lists, for a room, the rooms it may look into.
const core = ['bytes', 'errors', 'clock', 'crypto', 'x509', 'firmware', 'lifecycle', 'log', 'trust'];
const coreMayImport = {
  bytes: [],
  clock: [],
  errors: [],
  crypto: ['bytes', 'errors', 'clock'],
  x509: ['bytes', 'errors', 'clock', 'crypto'],
  firmware: ['bytes', 'errors', 'clock', 'crypto', 'x509'],
  lifecycle: ['bytes', 'errors', 'clock', 'crypto', 'x509', 'firmware', 'trust'],
  log: ['bytes', 'errors', 'clock', 'crypto'],
  trust: ['bytes', 'errors', 'clock', 'crypto', 'x509'],
};

// Top to bottom: a room imports from those below it, never from those above.
const floors = [
  ['cli'],
  ['start', 'trace'],
  ['backup'],
  ['serve', 'examples', 'verify', 'policy', 'relying'],
  ['ceremony'],
  ['protocols'],
  ['acme'],
  ['fleet-keys'],
  ['authority', 'provisioning', 'signing', 'rotation', 'access', 'inventory', 'bundles'],
  ['audit', 'keyd-client', 'client'],
  ['store', 'keyd'],
  ['keystore'],
  ['files', 'clock', 'host', 'crypto', 'scan'],
];

const tests = '/tests/';
const inCore = (rooms) => `^packages/core/(${rooms.join('|')})(/|\\.ts)`;
const inProgram = (rooms) => `^packages/keystead/(${rooms.join('|')})/`;

const coreRules = core.map((room) => ({
  name: `core-${room}`,
  comment: `core/${room} may import only: ${coreMayImport[room].join(', ') || 'nothing'}`,
  severity: 'error',
  from: { path: inCore([room]), pathNot: tests },
  to: { path: '^packages/', pathNot: inCore([room, ...coreMayImport[room]]) },
}));

const floorRules = floors.slice(1).map((floor, index) => ({
  name: `floor-${floor.join('-')}`,
  comment: `${floor.join(', ')} must not import from the floors above`,
  severity: 'error',
  from: { path: inProgram(floor), pathNot: tests },
  to: { path: inProgram(floors.slice(0, index + 1).flat()) },
}));

const wall = (name, comment, from, to) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: tests },
  to,
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...coreRules,
    ...floorRules,
    wall(
      'public-crypto-is-a-door',
      'keystead/crypto gives out what core/crypto has, and has nothing of its own',
      inProgram(['crypto']),
      {
        path: '^packages/',
        pathNot: inCore(['crypto', 'errors']),
      },
    ),
    wall('core-is-pure', 'no disk, no network', '^packages/core/', {
      path: '^(node:)?(fs|fs/promises|net|http|https|http2|tls|dgram|dns|child_process|worker_threads|cluster)$',
    }),
    wall(
      'tpm2-knows-core-only',
      'a TPM is spoken to with what core/crypto gives; no disk but the device',
      '^packages/tpm2/',
      {
        path: '^packages/(agent|keystead)/|^packages/core/(x509|lifecycle|log)/|fastify|kysely|node:(sqlite|https?|tls|child_process)$',
      },
    ),
    wall(
      'tpm2-transports-alone-do-io',
      'only a transport opens the device or the socket',
      '^packages/tpm2/(?!transport/)',
      {
        path: '^(node:)?(fs|fs/promises|net)$',
      },
    ),
    wall(
      'pkcs11-knows-core-only',
      'a token is spoken to with what core/crypto gives, for keyd and for a device alike; it knows no certificates',
      '^packages/pkcs11/',
      {
        path: '^packages/(agent|keystead|tpm2)/|^packages/core/(x509|lifecycle|log|trust|firmware)/|fastify|kysely|node:(sqlite|https?|net|tls|child_process)$',
      },
    ),
    wall('keyd-knows-no-http', 'keyd knows neither HTTP nor the database', inProgram(['keyd']), {
      path: `(${inProgram(['store', 'protocols', 'acme', 'authority', 'provisioning', 'rotation', 'access', 'inventory', 'audit'])})|fastify|node:https?$|^https?$|node:sqlite|kysely`,
    }),
    wall('keystore-knows-no-certificates', 'a keystore knows keys, not certificates', inProgram(['keystore']), {
      path: '^packages/core/(x509|log|lifecycle)/',
    }),
    wall('protocols-know-no-database', 'a protocol is thin', inProgram(['protocols']), {
      path: `(${inProgram(['store'])})|node:sqlite|kysely`,
    }),
    wall('acme-knows-no-wire', 'accounts, orders and validation know no HTTP server', inProgram(['acme']), {
      path: 'fastify',
    }),
    wall('store-knows-no-protocols', 'the records know no wire format', inProgram(['store']), {
      path: `fastify|node:https?$|${inProgram(['protocols', 'keyd', 'keyd-client'])}`,
    }),
    wall(
      'relying-holds-no-keys',
      'who fetches CRLs for a verifier knows neither keys nor the database',
      inProgram(['relying']),
      {
        path: `${inProgram(['keyd', 'keystore', 'store', 'authority', 'serve', 'protocols'])}|node:sqlite|kysely`,
      },
    ),
    wall('agent-stands-alone', "the device's side knows nothing of the server's code", '^packages/agent/', {
      path: '^packages/keystead/|fastify|kysely|node:sqlite',
    }),
    wall(
      'only-keyd-opens-a-keystore',
      'serve never holds a key',
      inProgram([
        'serve',
        'protocols',
        'authority',
        'provisioning',
        'rotation',
        'inventory',
        'store',
        'access',
        'acme',
      ]),
      {
        path: '^packages/keystead/(keyd/server|keyd/operations|keystore/(sealed|open|pkcs11|tpm2))|^packages/pkcs11/',
      },
    ),
    wall(
      'only-a-thread-loads-the-token',
      'calls of a token block: the native addon is loaded in a thread of its own, and only when a token is asked for',
      '^packages/(?!pkcs11/thread/)',
      { path: 'pkcs11js|graphene-pk11' },
    ),
    wall(
      'keyd-protocol-holds-no-keys',
      'what serve shares with keyd is the protocol alone',
      '^packages/keystead/(keyd-client/|keyd/((protocol|wire-types|frames|handshake|channel)\\.ts|wire/))',
      { path: '^packages/keystead/(keystore/|keyd/(?!(protocol|wire-types|frames|handshake|channel)\\.ts|wire/))' },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
