import { toBase64url, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import {
  AUTHORISATION_SECRET_BYTES,
  ENROLMENT_WAYS,
  type EnrolmentWay,
  signAuthorisation,
} from '@keystead/core/lifecycle';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemClock } from '../clock/system.ts';
import type { AuthorisationView, EnrolmentRequestView } from '../protocols/rest/authorisations.ts';
import { duration } from './duration.ts';
import { asOperator, asSigningOperator, type OperatorOptions, operatorOptions, table } from './operator.ts';
import { type SignWithOptions, signWithOptions } from './statement-signer.ts';

interface CreateOptions extends OperatorOptions, SignWithOptions {
  id?: string;
  profile: string;
  host: string[];
  devices?: DeviceRange;
  uses: number;
  for: number;
  way: EnrolmentWay[];
  approval: boolean;
}

interface DeviceRange {
  prefix: string;
  from: number;
  to: number;
  width: number;
}

/** A clock of the server that is a little behind refuses nothing. */
const BACKDATE_MS = 5 * 60_000;
/** How long an approval is good for: the requester asks again within minutes. */
const APPROVAL_MS = 7 * 24 * 3_600_000;

/** `keystead authorisation`: lets those enrol who have no certificate of ours. */
export function authorisationCommand(): Command {
  const command = new Command('authorisation').description(
    'let somebody enrol who has no certificate yet: create, list, withdraw; look at requests, approve, refuse',
  );
  command.addCommand(createCommand());
  command.addCommand(listCommand());
  command.addCommand(withdrawCommand());
  command.addCommand(requestsCommand());
  command.addCommand(approveCommand());
  command.addCommand(refuseCommand());
  return command;
}

const print = (options: OperatorOptions, value: unknown, text: string): void => {
  process.stdout.write(options.json === true ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`);
};

function createCommand(): Command {
  return signWithOptions(operatorOptions(new Command('create'), 'pki'))
    .description('sign an authorisation, register it, and print its secret, which is never shown again')
    .option('--id <id>', 'its name; a random one unless given')
    .option('--profile <profile>', 'the profile of every certificate that it gives', 'tls-server')
    .option('--host <name...>', 'a host name, an address, or *.suffix; for a server', [])
    .option('--devices <range>', 'known devices, as first..last: KS-0001..KS-0100', deviceRange)
    .option('--uses <n>', 'how many keys may be certified with it', count, 1)
    .option('--for <time>', 'how long it is good, for example 12h, 30d', duration, 24 * 3600)
    .addOption(new Option('--way <protocol...>', 'the protocols it is for').choices(ENROLMENT_WAYS).default(['est']))
    .option('--approval', 'an operator looks at each request before it is granted', false)
    .addHelpText(
      'after',
      '\nExamples:\n  $ keystead authorisation create --host gw1.plant.example --way acme --uses 50 --for 365d\n  $ keystead authorisation create --profile ldevid --devices KS-0001..KS-0010 --way est cmp --uses 10\n\nThe secret goes to standard output and nowhere else.',
    )
    .action(async (options: CreateOptions) => {
      const secret = randomBytes(AUTHORISATION_SECRET_BYTES);
      const secretText = toBase64url(secret);
      secret.fill(0);
      const now = systemClock.now().getTime();
      const view = await asSigningOperator(options, async (client, signer) => {
        const draft = {
          id: options.id ?? `a-${toHex(randomBytes(6))}`,
          profile: options.profile,
          ...(options.host.length > 0 ? { hosts: options.host } : {}),
          ...(options.devices === undefined ? {} : { deviceIds: options.devices }),
          uses: options.uses,
          notBefore: wholeSecond(now - BACKDATE_MS),
          notAfter: wholeSecond(now + options.for * 1000),
          ways: options.way,
          approval: options.approval,
        };
        const document = await signAuthorisation(draft, options.as, signer());
        return client.post<AuthorisationView>('/api/v1/authorisations', { document, secret: secretText });
      });
      print(options, { ...view, secret: secretText }, credentials(view, secretText));
    });
}

/** What the holder types, for each protocol. */
function credentials(view: AuthorisationView, secret: string): string {
  const lines = [
    `authorisation  ${view.id}`,
    `secret         ${secret}`,
    `good for       ${view.names.join(', ')} (${view.profile}), ${view.uses} keys, until ${view.notAfter}`,
  ];
  const how: Readonly<Record<string, string>> = {
    est: `EST            user ${view.id}, password the secret`,
    acme: `ACME           external account binding: kid ${view.id}, HMAC key the secret`,
    cmp: `CMP            reference ${view.id}, shared secret the secret`,
    scep: `SCEP           challenge password ${view.id}.${secret}`,
  };
  return [...lines, ...view.ways.map((way) => how[way] ?? way)].join('\n');
}

function listCommand(): Command {
  return operatorOptions(new Command('list'), 'auditor')
    .description('every authorisation that was registered, and whether it may be used')
    .action(async (options: OperatorOptions) => {
      const all = await asOperator(options, async (client) => {
        const found: AuthorisationView[] = [];
        for (let after: string | null = ''; after !== null; ) {
          const page: { authorisations: AuthorisationView[]; next: string | null } = await client.get(
            `/api/v1/authorisations?after=${encodeURIComponent(after)}`,
          );
          found.push(...page.authorisations);
          after = page.next;
        }
        return found;
      });
      const rows = all.map((one) => [one.id, one.state, one.profile, one.names.join(' '), `${one.uses}`, one.notAfter]);
      print(options, all, table([['authorisation', 'state', 'profile', 'names', 'uses', 'until'], ...rows]));
    });
}

function withdrawCommand(): Command {
  return operatorOptions(new Command('withdraw').argument('<id>'), 'pki')
    .description('end an authorisation; certificates that it gave stay as they are')
    .action(async (id: string, options: OperatorOptions) => {
      const path = `/api/v1/authorisations/${encodeURIComponent(id)}/withdrawal`;
      const answer = await asOperator(options, (client) => client.post<{ withdrawn: string }>(path, {}));
      print(options, answer, `${id}: withdrawn`);
    });
}

function requestsCommand(): Command {
  return operatorOptions(new Command('requests'), 'auditor')
    .description('the requests that wait for an operator')
    .addOption(
      new Option('--state <state>', 'which requests')
        .choices(['waiting', 'approved', 'refused', 'issued'])
        .default('waiting'),
    )
    .action(async (options: OperatorOptions & { state: string }) => {
      const { requests } = await asOperator(options, (client) =>
        client.get<{ requests: EnrolmentRequestView[] }>(`/api/v1/enrolment-requests?state=${options.state}`),
      );
      const rows = requests.map((one) => [one.id, one.requestedAt, one.way, one.profile, named(one), one.csrSha256]);
      print(options, requests, table([['request', 'made at', 'way', 'profile', 'for', 'CSR SHA-256'], ...rows]));
    });
}

const named = ({ subject }: EnrolmentRequestView): string =>
  'deviceId' in subject ? subject.deviceId : subject.hosts.join(' ');

function approveCommand(): Command {
  return signWithOptions(operatorOptions(new Command('approve').argument('<request>'), 'pki'))
    .description('sign the approval of one request, bound to its hash')
    .addHelpText('after', '\nExample:\n  $ keystead authorisation approve 5f0c9a1b2d3e4f50')
    .action(async (id: string, options: OperatorOptions & SignWithOptions) => {
      const now = systemClock.now().getTime();
      const path = `/api/v1/enrolment-requests/${encodeURIComponent(id)}`;
      const answer = await asSigningOperator(options, async (client, signer) => {
        const request = await client.get<EnrolmentRequestView>(path);
        const { subject } = request;
        const document = await signAuthorisation(
          {
            id: `ok-${id}`,
            profile: request.profile,
            ...('deviceId' in subject ? { deviceIds: onlyDevice(subject.deviceId) } : { hosts: [...subject.hosts] }),
            uses: 1,
            notBefore: wholeSecond(now - BACKDATE_MS),
            notAfter: wholeSecond(now + APPROVAL_MS),
            ways: [request.way as EnrolmentWay],
            approval: false,
            request: { sha256: request.csrSha256, under: request.authorisationId },
          },
          options.as,
          signer(),
        );
        return client.post<{ approved: string }>(`${path}/approval`, { document });
      });
      print(options, answer, `${id}: approved; the certificate is given when it is asked for again`);
    });
}

function refuseCommand(): Command {
  return operatorOptions(new Command('refuse').argument('<request>'), 'pki')
    .description('refuse one request for good')
    .requiredOption('--reason <text>', 'why: the requester is told, and it stands in the audit log')
    .action(async (id: string, options: OperatorOptions & { reason: string }) => {
      const path = `/api/v1/enrolment-requests/${encodeURIComponent(id)}/refusal`;
      const body = { reason: options.reason };
      const answer = await asOperator(options, (client) => client.post<{ refused: string }>(path, body));
      print(options, answer, `${id}: refused`);
    });
}

const wholeSecond = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** A range of one. @throws InvalidArgumentError for an id that does not end with digits: no range names it. */
function onlyDevice(id: string): DeviceRange {
  return deviceRange(`${id}..${id}`);
}

function deviceRange(text: string): DeviceRange {
  const match = /^(.*?)(\d{1,12})\.\.(.*?)(\d{1,12})$/.exec(text);
  const [, prefix = '', from = '', other = '', to = ''] = match ?? [];
  if (match === null || prefix === '' || prefix !== other || from.length !== to.length) {
    throw new InvalidArgumentError('It must be first..last with one prefix and as many digits, as KS-0001..KS-0100.');
  }
  return { prefix, from: Number(from), to: Number(to), width: from.length };
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return value;
}
