import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { stationName } from '@keystead/core/lifecycle';
import type { Command } from 'commander';
import { z } from 'zod';
import { RestClient } from '../../client/rest.ts';
import { durableWrite } from '../../files/durable.ts';
import { type PassphraseSource, readPassphrase } from '../../keystore/index.ts';

/** The files of a station, all in one directory of its PC. */
export const STATION_FILES = {
  key: 'station.key.pem',
  certificate: 'station.pem',
  anchor: 'root.pem',
  settings: 'station.json',
} as const;

const SettingsSchema = z.strictObject({ v: z.literal(1), station: stationName, url: z.url() });
export type StationSettings = Omit<z.infer<typeof SettingsSchema>, 'v'>;

export interface PlaceOptions {
  dir: string;
  keyPassphraseFd?: string;
  keyPassphraseFile?: string;
}

/** Adds the options by which a station shows who it is. */
export const placeOptions = (command: Command): Command =>
  command
    .option('--dir <dir>', 'the directory of the station: its key, certificate, anchor and queue', './station')
    .option('--key-passphrase-file <file>', 'the passphrase of the station key, in a file that only this user may read')
    .option('--key-passphrase-fd <n>', 'the same from a file descriptor; without either it is asked for');

/** Where the passphrase of a station's key comes from. */
export function keyPassphrase({ keyPassphraseFd, keyPassphraseFile }: PlaceOptions): PassphraseSource {
  if (keyPassphraseFd !== undefined) return { fd: Number(keyPassphraseFd) };
  return keyPassphraseFile === undefined ? { prompt: true } : { file: keyPassphraseFile };
}

export function writeSettings(dir: string, settings: StationSettings): void {
  durableWrite(join(dir, STATION_FILES.settings), `${JSON.stringify({ v: 1, ...settings }, null, 2)}\n`, 0o644);
}

/** @throws KeysteadError `station.needed` where the station has not been enrolled. */
export function readSettings(dir: string): StationSettings {
  const missing = Object.values(STATION_FILES).find((name) => !existsSync(join(dir, name)));
  if (missing !== undefined) {
    throw new KeysteadError('station.needed', { field: '--dir', seen: `no ${join(dir, missing)}` });
  }
  const { station, url } = SettingsSchema.parse(JSON.parse(readFileSync(join(dir, STATION_FILES.settings), 'utf8')));
  return { station, url };
}

/** A connection to the node as the station. @throws KeysteadError `passphrase.*`, `station.needed`. */
export async function connect(options: PlaceOptions): Promise<{ settings: StationSettings; client: RestClient }> {
  const { dir } = options;
  const settings = readSettings(dir);
  const read = (name: string): string => readFileSync(join(dir, name), 'utf8');
  using passphrase = await readPassphrase(keyPassphrase(options));
  const client = new RestClient({
    baseUrl: settings.url,
    anchor: read(STATION_FILES.anchor),
    identity: {
      cert: read(STATION_FILES.certificate),
      key: read(STATION_FILES.key),
      passphrase: passphrase.use((bytes) => Buffer.from(bytes).toString('utf8')),
    },
  });
  return { settings, client };
}
