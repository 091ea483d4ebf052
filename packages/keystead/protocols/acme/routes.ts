import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type Account, AccountKeyTaken, type Acme, type OrderView, problemOf, RateLimited } from '../../acme/index.ts';
import { asKeysteadError } from '../http/status.ts';
import { readBinding } from './external-account.ts';
import { JWS_ALGORITHMS } from './jwk.ts';
import { bytesOf, checked, headerKey } from './jws.ts';
import { newKeyOf } from './key-change.ts';
import { Nonces } from './nonces.ts';
import { Finalize, NewAccount, NewOrder, RevokeCertificate, UpdateAccount, UpdateAuthorization } from './payloads.ts';
import {
  accountObject,
  authorizationObject,
  challengeObject,
  directoryObject,
  orderObject,
  Urls,
} from './resources.ts';
import {
  accountOf,
  accountRequest,
  addressOf,
  payloadOf,
  type RequestRules,
  requireEmpty,
  signedRequest,
} from './signed-request.ts';

const PREFIX = '/acme';
const JOSE = 'application/jose+json';
/** RFC 9773 section 4.3: how soon a client looks again. */
const RENEWAL_RETRY_SECONDS = 6 * 3600;
/** Worth an entry in the audit log, however little is known of who asked. */
const AUDITED = new Set(['acme.signature-invalid', 'acme.url-differs', 'acme.account-not-valid']);

/**
 * ACME (RFC 8555, RFC 8737, RFC 8738, RFC 9773, draft-ietf-acme-device-attest-10) under /acme.
 * @param origin `https://host:port`: what the URLs begin with; requests are signed for them.
 */
export function registerAcme(app: FastifyInstance, acme: Acme, origin: () => string, log: Logger): void {
  const nonces = new Nonces();
  const urls = new Urls(() => `${origin()}${PREFIX}`);
  const rules: RequestRules = { acme, nonces, urls, prefix: PREFIX };
  const byAccount = (request: FastifyRequest) => accountRequest(request, rules);
  const order = (view: OrderView) => orderObject(view, urls, (certificate) => acme.renewals.nameOf(certificate));

  app.register(
    async (api) => {
      api.removeAllContentTypeParsers();
      api.addContentTypeParser(JOSE, { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
      api.setErrorHandler((thrown, request, reply) => refuse(thrown, request, reply));
      api.setNotFoundHandler((request) => {
        throw new KeysteadError('acme.unknown', { field: 'path', seen: request.url.slice(0, 120) });
      });
      api.addHook('onRequest', async (request, reply) => {
        if (!request.url.startsWith(`${PREFIX}/directory`)) reply.header('Link', link(urls.directory(), 'index'));
      });
      api.addHook('onSend', async (request, reply) => {
        if (request.method === 'POST') reply.header('Replay-Nonce', nonces.issue());
      });
      api.addHook('onClose', async () => nonces.close());

      api.get('/directory', () => directoryObject(urls));
      api.head('/new-nonce', (_request, reply) => reply.header('Replay-Nonce', nonces.issue()).code(200).send());
      api.get('/new-nonce', (_request, reply) => reply.header('Replay-Nonce', nonces.issue()).code(204).send());
      api.get('/renewal-info/:name', (request, reply) => {
        acme.limits.requests.take(addressOf(request));
        const { start, end } = acme.renewals.window(acme.renewals.named(parameter(request, 'name')));
        reply.header('Retry-After', RENEWAL_RETRY_SECONDS);
        return { suggestedWindow: { start: start.toISOString(), end: end.toISOString() } };
      });

      post('/new-account', (request, reply) => newAccount(request, reply));
      post('/account/:id', async (request) => {
        const { jws, account } = byAccount(request);
        requireOwn(account, parameter(request, 'id'));
        const payload = payloadOf(jws);
        if (payload === undefined) return accountObject(acme.accounts.view(account.id), urls);
        const { contact, status } = checked(UpdateAccount, payload, 'payload');
        if (status !== undefined && status !== 'deactivated') throw notSettable(status);
        const changed =
          status === 'deactivated'
            ? await acme.accounts.deactivate(account, request.id)
            : contact === undefined
              ? acme.accounts.view(account.id)
              : await acme.accounts.setContact(account, contact, request.id);
        return accountObject(changed, urls);
      });
      post('/account/:id/orders', (request, reply) => {
        const { jws, account } = byAccount(request);
        requireEmpty(jws);
        requireOwn(account, parameter(request, 'id'));
        const { cursor } = request.query as { cursor?: string };
        const { ids, next } = acme.orders.list(account, cursor);
        if (next !== undefined) addLink(reply, link(`${urls.orders(account.id)}?cursor=${next}`, 'next'));
        return { orders: ids.map(urls.order) };
      });
      post('/key-change', async (request) => {
        const { jws, key, url, account } = byAccount(request);
        const accountUrl = urls.account(account.id);
        const next = newKeyOf(payloadOf(jws), { accountUrl, oldKey: key, url });
        const { canonical, thumbprint } = next;
        return accountObject(await acme.accounts.changeKey(account, { jwk: canonical, thumbprint }, request.id), urls);
      });

      post('/new-order', async (request, reply) => {
        const { jws, account } = byAccount(request);
        const { identifiers, notBefore, notAfter, replaces } = checked(NewOrder, payloadOf(jws), 'payload');
        const dated = notBefore === undefined ? notAfter : notBefore;
        if (dated !== undefined)
          throw new KeysteadError('acme.validity-unsupported', { field: 'notBefore, notAfter', seen: dated });
        const certificate = replaces === undefined ? undefined : acme.renewals.named(replaces);
        const view = await acme.orders.create(account, { identifiers, replaces: certificate }, request.id);
        return reply.code(201).header('Location', urls.order(view.id)).send(order(view));
      });
      post('/order/:id', async (request, reply) => {
        const { jws, account } = byAccount(request);
        requireEmpty(jws);
        const view = await acme.order(account, parameter(request, 'id'), request.id);
        return waiting(reply, view.state === 'processing' ? (view.retryAfterSeconds ?? 1) : undefined).send(
          order(view),
        );
      });
      post('/order/:id/finalize', async (request, reply) => {
        const { jws, account } = byAccount(request);
        const { csr } = checked(Finalize, payloadOf(jws), 'payload');
        const id = parameter(request, 'id');
        const view = await acme.finalize(account, id, bytesOf(csr, 'csr'), request.id);
        const retry = view.state === 'processing' ? (view.retryAfterSeconds ?? 1) : undefined;
        return waiting(reply, retry).header('Location', urls.order(id)).send(order(view));
      });
      post('/certificate/:id', (request, reply) => certificate(request, reply, 0));
      post('/certificate/:id/:chain', (request, reply) =>
        certificate(request, reply, Number(parameter(request, 'chain'))),
      );

      post('/authorization/:id', async (request, reply) => {
        const { jws, account } = byAccount(request);
        const id = parameter(request, 'id');
        const payload = payloadOf(jws);
        if (payload !== undefined) {
          const { status } = checked(UpdateAuthorization, payload, 'payload');
          if (status !== 'deactivated') throw notSettable(status);
          return authorizationObject(await acme.authorizations.deactivate(account, id, request.id), urls);
        }
        const view = acme.authorizations.view(account, id);
        return waiting(reply, view.retryAfterSeconds).send(authorizationObject(view, urls));
      });
      post('/challenge/:id', async (request, reply) => {
        const { jws, account } = byAccount(request);
        const id = parameter(request, 'id');
        const payload = payloadOf(jws);
        const view =
          payload === undefined
            ? acme.authorizations.challenge(account, id)
            : await acme.authorizations.answer(account, id, payload, request.id);
        addLink(reply, link(urls.authorization(view.authorizationId), 'up'));
        return waiting(reply, view.retryAfterSeconds).send(challengeObject(view, urls));
      });
      post('/revoke-cert', async (request, reply) => {
        const { jws, key } = signedRequest(request, rules);
        const body = checked(RevokeCertificate, payloadOf(jws), 'payload');
        const by = jws.kid === undefined ? { spki: key.spki } : { account: accountOf(jws, rules) };
        const der = bytesOf(body.certificate, 'certificate');
        await acme.revocations.revoke({ der, reason: body.reason ?? 0, by, requestId: request.id });
        return reply.code(200).send();
      });

      /** A resource that is asked for by POST alone (RFC 8555 section 6.3). */
      function post(path: string, handler: (request: FastifyRequest, reply: FastifyReply) => unknown): void {
        api.post(path, async (request, reply) => handler(request, reply));
        api.get(path, (request, reply) => {
          reply.header('Allow', 'POST');
          throw new KeysteadError('acme.method', { field: 'method', seen: request.method });
        });
      }
    },
    { prefix: PREFIX },
  );

  async function newAccount(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { jws, url } = signedRequest(request, rules);
    const key = headerKey(jws);
    const body = checked(NewAccount, payloadOf(jws), 'payload');
    const known = acme.accounts.ofKey(key.thumbprint);
    if (known !== undefined) {
      if (known.state !== 'valid')
        throw new KeysteadError('acme.account-not-valid', { field: 'account', seen: known.state });
      return reply.code(200).header('Location', urls.account(known.id)).send(accountObject(known, urls));
    }
    if (body.onlyReturnExisting === true) throw new KeysteadError('acme.account-unknown', { field: 'jwk' });
    if (body.externalAccountBinding === undefined)
      throw new KeysteadError('acme.binding-required', { field: 'externalAccountBinding' });
    acme.limits.accounts.take(addressOf(request));
    const binding = readBinding(body.externalAccountBinding, key, url);
    const made = await acme.accounts.create(
      { jwk: key.canonical, thumbprint: key.thumbprint },
      { contact: body.contact ?? [], binding, requestId: request.id },
    );
    const { account, created } = made;
    return reply
      .code(created ? 201 : 200)
      .header('Location', urls.account(account.id))
      .send(accountObject(account, urls));
  }

  function certificate(request: FastifyRequest, reply: FastifyReply, chain: number): FastifyReply {
    const { jws, account } = byAccount(request);
    requireEmpty(jws);
    const id = parameter(request, 'id');
    const chains = acme.chains(account, id);
    const wanted = chains[chain];
    if (wanted === undefined) throw new KeysteadError('acme.unknown', { field: 'chain', seen: String(chain) });
    for (const other of chains.keys())
      if (other !== chain) addLink(reply, link(urls.certificate(id, other), 'alternate'));
    return reply
      .type('application/pem-certificate-chain')
      .send(wanted.map((der) => toPem('CERTIFICATE', der)).join(''));
  }

  /** A refusal is a problem document (RFC 8555 section 6.7), and brings a nonce. */
  async function refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const error = inTermsOfAcme(thrown);
    if (error.code === 'internal.unexpected') log.error({ requestId: request.id, err: thrown }, 'unexpected failure');
    if (AUDITED.has(error.code)) await acme.refused(error, request.id);
    const problem = problemOf(error);
    if (error instanceof RateLimited) reply.header('Retry-After', error.retryAfterSeconds);
    else if (problem.status === 503) reply.header('Retry-After', 1);
    if (error instanceof AccountKeyTaken) reply.header('Location', urls.account(error.accountId));
    const algorithms = error.code === 'acme.bad-signature-algorithm' ? { algorithms: JWS_ALGORITHMS } : {};
    // As bytes: to text fastify adds a charset, which application/problem+json has not (RFC 9457 section 6.1).
    const body = Buffer.from(JSON.stringify({ ...problem, ...algorithms }), 'utf8');
    return reply.code(problem.status).type('application/problem+json').send(body);
  }
}

/** What the server found before a route ran. */
function inTermsOfAcme(thrown: unknown): KeysteadError {
  const error = asKeysteadError(thrown);
  if (error.code === 'request.content-type')
    return new KeysteadError('acme.content-type', { field: 'Content-Type', cause: thrown });
  return error;
}

const link = (url: string, relation: string): string => `<${url}>;rel="${relation}"`;

function addLink(reply: FastifyReply, text: string): void {
  const before = reply.getHeader('Link') ?? [];
  reply.removeHeader('Link');
  reply.header('Link', [...(Array.isArray(before) ? before : [String(before)]), text]);
}

const waiting = (reply: FastifyReply, seconds: number | undefined): FastifyReply =>
  seconds === undefined ? reply : reply.header('Retry-After', seconds);

function parameter(request: FastifyRequest, name: string): string {
  const value = (request.params as Record<string, string>)[name] ?? '';
  if (/^[A-Za-z0-9._-]{1,256}$/.test(value)) return value;
  throw new KeysteadError('acme.unknown', { field: name, seen: value.slice(0, 80) });
}

function requireOwn(account: Account, id: string): void {
  if (account.id !== id) throw new KeysteadError('acme.unknown', { field: 'account', seen: id.slice(0, 40) });
}

const notSettable = (status: string): KeysteadError =>
  new KeysteadError('acme.malformed', { field: 'status', seen: `${JSON.stringify(status)}; deactivated can be set` });
