import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { toHex } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { type AcmeSettings, AcmeSettingsSchema } from './acme-settings.ts';
import { durableWrite } from './durable.ts';
import type { Layout } from './layout.ts';
import { SigningSettingsSchema } from './signing-settings.ts';
import { RenewedRepositoriesSchema } from './tuf-settings.ts';
import { WorkloadIssuerSchema } from './workload-settings.ts';

const port = z.int().min(1).max(65_535);
const ConfigSchema = z.strictObject({
  version: z.literal(1),
  storeId: z.string(),
  createdAt: z.string(),
  host: z.string(),
  /** Chosen once: the http port stands in every certificate, as the address of its CRL and OCSP responder. */
  ports: z.strictObject({ https: port, http: port, backend: port }),
  /** How long an LDevID of the demonstration lives, seconds. */
  ldevidSeconds: z.int().min(10),
  batch: z.strictObject({ ticketId: z.string(), model: z.string(), quota: z.int() }),
  /**
   * Whether old equipment may enrol by SCEP (docs/scep.md says what that costs). Off unless it says `true`; serve reads it
   * when it starts.
   */
  scep: z.boolean().optional(),
  /** A batch with room, for people who try things. */
  tryBatch: z.strictObject({ ticketId: z.string() }),
  /** At a factory node: where headquarters is, for example `https://hq.example:8443`; without it, files travel. */
  headquarters: z.url({ protocol: /^https$/ }).optional(),
  /** Whose tokens of CI systems are believed, for submitting firmware only; without it nobody's. */
  workloads: z.array(WorkloadIssuerSchema).max(16).optional(),
  /** The bounds of firmware signing; without it, as signing-settings.ts says. */
  signing: SigningSettingsSchema.optional(),
  /** Update repositories that serve renews by itself; without it none. */
  tuf: RenewedRepositoriesSchema.optional(),
  /** How serve speaks ACME; without it, as acme-settings.ts says. */
  acme: AcmeSettingsSchema.optional(),
});

/** What the first start decided and each later one finds. */
export type Config = z.infer<typeof ConfigSchema>;

const WANTED_PORTS = { https: 8443, http: 8080, backend: 8444 } as const;
const HOST = 'localhost';
/** The demonstration's clients are on this machine, and an ordinary user may not listen on ports 80 and 443. */
const LOOPBACK_ACME: AcmeSettings = AcmeSettingsSchema.parse({
  allowedNetworks: ['127.0.0.0/8', '::1/128'],
  httpPort: 5002,
  tlsPort: 5001,
});

/**
 * The configuration of a data directory, made on the first start.
 * @param wanted the ports to take when they are free.
 * @throws KeysteadError `config.malformed` naming the field when the file is there and wrong.
 */
export async function openConfig(
  layout: Layout,
  clock: Clock,
  ldevidSeconds: number,
  wanted: Config['ports'] = WANTED_PORTS,
): Promise<Config> {
  if (existsSync(layout.config)) return readConfig(layout);
  mkdirSync(layout.data, { recursive: true, mode: 0o700 });
  const taken: number[] = [];
  const ports = { https: 0, http: 0, backend: 0 };
  for (const name of ['https', 'http', 'backend'] as const) {
    ports[name] = (await isFree(wanted[name])) ? wanted[name] : await anyFreePort(taken);
    taken.push(ports[name]);
  }
  const config: Config = {
    version: 1,
    storeId: toHex(randomBytes(8)),
    createdAt: clock.now().toISOString(),
    host: HOST,
    ports,
    ldevidSeconds,
    batch: { ticketId: `batch-${toHex(randomBytes(4))}`, model: 'KS-PUMP-1', quota: 10 },
    tryBatch: { ticketId: `try-${toHex(randomBytes(4))}` },
    acme: LOOPBACK_ACME,
  };
  durableWrite(layout.config, `${JSON.stringify(config, null, 2)}\n`, 0o600);
  return config;
}

/** Reads the configuration of a data directory that has been started before. */
export function readConfig(layout: Layout): Config {
  if (!existsSync(layout.config)) {
    throw new KeysteadError('config.missing', {
      field: layout.config,
      remedy: 'run keystead start first, or name --data',
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(layout.config, 'utf8'));
  } catch (cause) {
    throw new KeysteadError('config.malformed', { field: layout.config, seen: 'not JSON', cause });
  }
  const parsed = ConfigSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new KeysteadError('config.malformed', {
    field: `${layout.config} ${issue?.path.join('.')}`,
    seen: issue?.message,
  });
}

function isFree(wanted: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port: wanted, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

function anyFreePort(taken: readonly number[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const found = address !== null && typeof address === 'object' ? address.port : 0;
      probe.close(() => (taken.includes(found) ? anyFreePort(taken).then(resolve, reject) : resolve(found)));
    });
  });
}
