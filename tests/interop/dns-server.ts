import { createSocket, type Socket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';

const TYPES: Readonly<Record<number, string>> = { 1: 'A', 2: 'NS', 5: 'CNAME', 6: 'SOA', 16: 'TXT', 28: 'AAAA' };

/**
 * A DNS server of one zone on 127.0.0.1, for tests: every name in it has the address 127.0.0.1, its TXT records are the
 * lines `name value` of a file, which `lego --dns exec` or a test writes.
 */
export class DnsServer {
  readonly #socket: Socket;
  readonly #zone: string;
  readonly #file: string;

  private constructor(socket: Socket, zone: string, file: string) {
    this.#socket = socket;
    this.#zone = zone;
    this.#file = file;
    socket.on('message', (query, from) => {
      const answer = this.#answer(query);
      if (answer !== undefined) socket.send(answer, from.port, from.address);
    });
  }

  static async start(zone: string, file: string): Promise<DnsServer> {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return new DnsServer(socket, zone, file);
  }

  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  close(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer | undefined {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join('.').toLowerCase();
    const type = TYPES[query.readUInt16BE(at + 1)];
    const question = query.subarray(12, at + 5);
    const inZone = name === this.#zone || name.endsWith(`.${this.#zone}`);
    const records = inZone ? this.#records(name, type) : [];
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    // An authoritative answer; NXDOMAIN outside of the zone.
    head.writeUInt16BE(0x8580 | (inZone ? 0 : 3), 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    return Buffer.concat([head, question, ...records]);
  }

  #records(name: string, type: string | undefined): Buffer[] {
    const record = (number: number, data: Buffer): Buffer => {
      const fixed = Buffer.alloc(12);
      fixed.writeUInt16BE(0xc00c, 0);
      fixed.writeUInt16BE(number, 2);
      fixed.writeUInt16BE(1, 4);
      fixed.writeUInt32BE(0, 6);
      fixed.writeUInt16BE(data.length, 10);
      return Buffer.concat([fixed, data]);
    };
    if (type === 'A') return [record(1, Buffer.from([127, 0, 0, 1]))];
    if (type === 'SOA' && name === this.#zone) {
      return [
        record(6, Buffer.concat([nameOf(`ns.${this.#zone}`), nameOf(`root.${this.#zone}`), Buffer.alloc(20, 1)])),
      ];
    }
    if (type === 'NS' && name === this.#zone) return [record(2, nameOf(`ns.${this.#zone}`))];
    if (type !== 'TXT' || !existsSync(this.#file)) return [];
    const lines = readFileSync(this.#file, 'utf8')
      .split('\n')
      .map((line) => line.split(' '));
    return lines.flatMap(([owner = '', value = '']) =>
      owner.replace(/\.$/, '').toLowerCase() === name
        ? [record(16, Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')]))]
        : [],
    );
  }
}

const nameOf = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
