import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { type DerCertificate, type DerSpki, fromPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId, checkPublicKey, readCertificate } from '@keystead/core/x509';
import { Pkcs11Schema } from '@keystead/pkcs11';
import { z } from 'zod';
import { DEVICE_KEY_ALGORITHMS } from '../state/index.ts';

const path = z.string().min(1).max(4096);
const pinName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z 0-9 -');
const seconds = (least: number, most: number) => z.int().min(least).max(most);
/** Connections of a tunnel at once. */
const most = z.int().min(1).max(65_535).default(256);
const port = z.int().min(0).max(65_535);
const url = (protocol: RegExp) => z.url({ protocol });

/** The configuration file, JSON. Paths are taken from the file's own directory. docs/agent.md has the table. */
const ConfigSchema = z.strictObject({
  deviceId: z.string(),
  /** The state directory, 0700. */
  state: path,
  /** Where `status.json` and the tunnels' sockets are. */
  run: path,
  /** PEM: what servers are believed by before the first bundle. */
  anchors: path,
  key: z.discriminatedUnion('store', [
    z.strictObject({ store: z.literal('sealed'), secretFile: path }),
    z.strictObject({
      store: z.literal('tpm'),
      directory: path,
      address: z.string().optional(),
      /** Whether a counter of the TPM notices an older image of the state. */
      counter: z.boolean().default(true),
    }),
    z.strictObject({
      store: z.literal('pkcs11'),
      directory: path,
      module: Pkcs11Schema.shape.module,
      /** CK_TOKEN_INFO: the label, and the serial number where two tokens could have it. */
      token: z.strictObject({ label: z.string().min(1).max(32), serial: z.string().min(1).max(16).optional() }),
      /** Where the user PIN comes from. */
      pin: z.union([z.strictObject({ file: path }), z.strictObject({ fd: z.int().min(3).max(1023) })]),
      /** Whether a counter on the token notices an older image of the state. */
      counter: z.boolean().default(true),
      callSeconds: Pkcs11Schema.shape.callSeconds,
      quirks: Pkcs11Schema.shape.quirks,
    }),
  ]),
  server: z.strictObject({
    /** Enrolment and reports. */
    est: url(/^https$/),
    /** Enrolment where the IDevID's key is in a TPM or token; by default /.well-known/cmp beside `trust`. */
    cmp: url(/^https?$/).optional(),
    /** Bundles and filters. */
    trust: url(/^http$/),
    /** The name under which bundles pin the server's keys. */
    pin: pinName.optional(),
  }),
  fleet: z.strictObject({
    name: pinName,
    /** Who signs the first bundle: PEM public keys, each in its time. */
    signers: z
      .array(z.strictObject({ key: path, from: z.iso.datetime(), until: z.iso.datetime() }))
      .min(1)
      .max(8),
  }),
  /** The kinds of key that it makes for its LDevID, the best first: of several the server says which (EST csrattrs). */
  ldevidKeys: z.array(z.enum(DEVICE_KEY_ALGORITHMS)).min(1).max(DEVICE_KEY_ALGORITHMS.length).default(['P-256']),
  /** How long after its LDevID's end the device recovers by its IDevID; the server has its own policy. */
  graceSeconds: seconds(0, 20 * 366 * 86_400).default(7 * 86_400),
  bundleEverySeconds: seconds(1, 7 * 86_400).default(3600),
  /** Whether responders are asked besides the filter. */
  ocsp: z.boolean().default(true),
  /** JSON {product, version, securityCounter} that the device's updater writes; told to the server. */
  firmwareFile: path.optional(),
  tunnels: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({
          kind: z.literal('to-server'),
          /** A name for the socket in `run`. */
          socket: pinName,
          host: z.string().min(1).max(253),
          port: port.min(1),
          pin: pinName.optional(),
          /** The device that serves there, by its LDevID. */
          deviceId: z.string().optional(),
          most,
        }),
        z.strictObject({
          kind: z.literal('from-devices'),
          host: z.string().min(1).max(253),
          port,
          /** The application's Unix socket. */
          to: path,
          deviceId: z.string().optional(),
          most,
        }),
      ]),
    )
    .max(16)
    .default([]),
});

type Parsed = z.output<typeof ConfigSchema>;
export type KeyConfig = Parsed['key'];
export type TunnelConfig = Parsed['tunnels'][number];

/** The configuration with what its files hold. */
export interface AgentConfig extends Omit<Parsed, 'anchors' | 'fleet'> {
  readonly anchors: readonly DerCertificate[];
  readonly fleet: {
    readonly name: string;
    readonly signers: readonly { readonly spki: DerSpki; readonly from: Date; readonly until: Date }[];
  };
}

/**
 * Reads the configuration and the certificates and keys that it names; the device secret is not touched.
 * @throws KeysteadError `agent.config-invalid` with the field and what is wrong there.
 */
export function readConfig(file: string): AgentConfig {
  const parsed = ConfigSchema.safeParse(jsonOf(file));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(issue?.path.join('.') || file, issue?.message ?? 'malformed', parsed.error);
  }
  const config = parsed.data;
  const at = (name: string): string => (isAbsolute(name) ? name : resolve(dirname(resolve(file)), name));
  within('deviceId', () => checkDeviceId(config.deviceId));
  return {
    ...config,
    state: at(config.state),
    run: at(config.run),
    key: placed(config.key, at),
    ...(config.firmwareFile === undefined ? {} : { firmwareFile: at(config.firmwareFile) }),
    tunnels: config.tunnels.map((one) => (one.kind === 'from-devices' ? { ...one, to: at(one.to) } : one)),
    anchors: within('anchors', () => {
      const found = blocks('CERTIFICATE', at(config.anchors)).map((der) => der as DerCertificate);
      for (const der of found) if (readCertificate(der).ca === false) throw new TypeError('the certificate of no CA');
      return found;
    }),
    fleet: {
      name: config.fleet.name,
      signers: config.fleet.signers.map(({ key, from, until }, index) =>
        within(`fleet.signers.${index}`, () => {
          const [spki, ...more] = blocks('PUBLIC KEY', at(key)).map((der) => der as DerSpki);
          if (spki === undefined || more.length > 0) throw new TypeError('one public key is needed');
          checkPublicKey(spki, ['P-256', 'P-384', 'Ed25519']);
          if (!(from < until)) throw new TypeError('until must be after from');
          return { spki, from: new Date(from), until: new Date(until) };
        }),
      ),
    },
  };
}

function jsonOf(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw invalid(file, cause instanceof Error ? cause.message : 'unreadable', cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    // The message of JSON.parse quotes the text, and the file may be another than was meant: that of the PIN, or of a key.
    const [place = ''] = /line \d+ column \d+/.exec(cause instanceof Error ? cause.message : '') ?? [];
    throw invalid(file, place === '' ? 'no JSON' : `no JSON at ${place}`);
  }
}

function placed(key: KeyConfig, at: (name: string) => string): KeyConfig {
  switch (key.store) {
    case 'sealed':
      return { ...key, secretFile: at(key.secretFile) };
    case 'tpm':
      return { ...key, directory: at(key.directory) };
    case 'pkcs11':
      return {
        ...key,
        directory: at(key.directory),
        pin: 'file' in key.pin ? { file: at(key.pin.file) } : key.pin,
      };
  }
}

function blocks(label: string, file: string): Uint8Array[] {
  const found = fromPem(label, readFileSync(file, 'utf8'));
  if (found.length === 0) throw new TypeError(`no ${label} in ${file}`);
  return found;
}

function within<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw invalid(field, cause instanceof Error ? cause.message : 'unreadable', cause);
  }
}

const invalid = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('agent.config-invalid', { field, seen, cause });
