import type { VectorSet, VectorState } from './vector-set.ts';

const RESULT_OF_STATUS = { '0': 'KS_STATUS_GOOD', '1': 'KS_STATUS_REVOKED', '-': 'KS_STATUS_NOT_COVERED' } as const;

/** The vectors as a header of C99, for run.c: the same set gives the same text. */
export function vectorHeader(set: VectorSet): string {
  const writer = new Writer();
  writer.hashes('known_signatures', set.signatures);
  writer.hashes('known_keys', set.keys);
  writer.table(
    'static const struct known_certificate known_certificates[]',
    set.certificates.map((one) => `{${row(one.sha256)}, {${one.ca}, ${time(one.notAfter)}, ${row(one.spkiSha256)}}}`),
  );
  writer.table(
    'static const struct bundle_vector bundle_vectors[]',
    set.bundles.map(({ name, files, known, now, expected, taken }) => {
      const { version = 0, sha256 = '', repeated = false, rows = [0, 0, 0, 0] } = taken ?? {};
      const facts = `${version}u, ${writer.pointer(sha256)}, ${repeated}, {${rows.join(', ')}}`;
      return `{${text(name)}, ${writer.list(files)}, ${files.length}, &${writer.state(known)}, ${time(now)}, ${text(expected)}, ${facts}}`;
    }),
  );
  writer.table(
    'static const struct pin_vector pin_vectors[]',
    set.pins.map(({ name, file, role, key, now, expected }) => {
      const asked = `${writer.span(file)}, ${writer.span(hexOf(role))}, ${writer.pointer(key)}`;
      return `{${text(name)}, ${asked}, ${time(now)}, ${text(expected)}}`;
    }),
  );
  const filters = set.filters.map(({ name, files, named, expected, answers }) => {
    const said = answers.map(
      ({ issuer, serial, says }) => `{${writer.span(issuer)}, ${writer.span(serial)}, ${RESULT_OF_STATUS[says]}}`,
    );
    const asked = said.length === 0 ? 'NULL' : writer.array('struct answer', said);
    return `{${text(name)}, ${writer.list(files)}, ${files.length}, ${writer.pointer(named)}, ${text(expected)}, ${asked}, ${said.length}}`;
  });
  writer.table('static const struct filter_vector filter_vectors[]', filters);
  writer.table(
    'static const struct peer_vector peer_vectors[]',
    set.peers.map((peer) => {
      const at = set.filters.findIndex(({ name }) => name === peer.filter);
      const path = peer.path.map(
        (one) =>
          `{${writer.pointer(one.issuer)}, ${writer.span(one.serial)}, ${time(one.notBefore)}, ${time(one.notAfter)}}`,
      );
      const chain = path.length === 0 ? 'NULL' : writer.array('struct ks_certificate', path);
      const filter = at < 0 ? 'NULL' : `&filter_vectors[${at}]`;
      const rules = `${time(peer.now)}, ${time(peer.tolerateUnknownSeconds)}, ${peer.coverPath}`;
      return `{${text(peer.name)}, ${filter}, ${chain}, ${path.length}, ${rules}, ${text(peer.expected)}, ${peer.depth}}`;
    }),
  );
  writer.table(
    'static const struct session_vector session_vectors[]',
    set.sessions.map((one) => {
      const salts = `${writer.pointer(one.deviceSalt)}, ${writer.pointer(one.serviceSalt)}`;
      const keys = `${writer.pointer(one.clientWrite)}, ${writer.pointer(one.serverWrite)}`;
      return `{${text(one.name)}, ${writer.span(one.exported)}, ${writer.span(hexOf(one.deviceId))}, ${salts}, ${text(one.expected)}, ${keys}}`;
    }),
  );
  return writer.whole;
}

const text = (words: string): string => JSON.stringify(words);
const time = (seconds: number): string => `INT64_C(${seconds})`;
const hexOf = (words: string): string => Buffer.from(words).toString('hex');
const row = (hex: string): string => `{${[...Buffer.from(hex, 'hex')].join(',')}}`;

/** Arrays get names of their own, and those of the same content are one. */
class Writer {
  readonly #lines: string[] = ['/* Made by `npm run vectors`; run.c includes it. */', ''];
  readonly #names = new Map<string, string>();

  get whole(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  hashes(name: string, all: readonly string[]): void {
    this.table(`static const uint8_t ${name}[][KS_SHA256_BYTES]`, all.map(row));
  }

  table(declaration: string, rows: readonly string[]): void {
    this.#lines.push(`${declaration} = {\n  ${rows.join(',\n  ')}};`, '');
  }

  /** The name of an array of bytes. */
  pointer(hex: string): string {
    // C has no empty arrays.
    return hex === '' ? 'NULL' : this.#named('uint8_t', row(hex).slice(1, -1));
  }

  span(hex: string): string {
    return `{${this.pointer(hex)}, ${hex.length / 2}}`;
  }

  list(files: readonly string[]): string {
    return files.length === 0
      ? 'NULL'
      : this.array(
          'struct ks_bytes',
          files.map((file) => this.span(file)),
        );
  }

  array(type: string, rows: readonly string[]): string {
    return this.#named(type, rows.join(', '));
  }

  state({ fleet, version, sha256, signers, firmware }: VectorState): string {
    const rows = signers.map(({ spki, from, until }) => `{${this.span(spki)}, ${time(from)}, ${time(until)}}`);
    const least = firmware.map((one) => `{${this.span(hexOf(one.product))}, ${one.minimumSecurityCounter}u}`);
    const hash = row(sha256 === '' ? '00' : sha256);
    const members = `${this.span(hexOf(fleet))}, ${version}u, ${hash}, {${rows.join(', ')}}, ${rows.length}, {${least.join(', ')}}, ${least.length}`;
    return `${this.#named('struct ks_trust_state', members)}[0]`;
  }

  #named(type: string, content: string): string {
    const braced = type === 'struct ks_trust_state' ? `{${content}}` : content;
    const known = this.#names.get(`${type} ${braced}`);
    if (known !== undefined) return known;
    const name = `v${this.#names.size}`;
    this.#names.set(`${type} ${braced}`, name);
    this.#lines.push(`static const ${type} ${name}[] = {${braced}};`);
    return name;
  }
}
