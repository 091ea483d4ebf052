import { KeysteadError } from '@keystead/core/errors';
import { parseSignOn } from '@keystead/core/lifecycle';
import type { RestClient } from '../../client/rest.ts';
import type { OutcomeView, StateView } from '../../protocols/station/index.ts';
import { outcomeOfError } from '../../provisioning/index.ts';

const ROOT = '/api/v1/station';

/** An answer of the node to a unit: what became of it, and what it got. */
export interface UnitAnswer {
  readonly outcome: OutcomeView;
  readonly requestId?: string;
  readonly detail?: string;
  readonly certificate?: string;
  readonly chain?: string;
  readonly record?: string;
  /** Base64. */
  readonly signature?: string;
  readonly serial?: string;
}

interface Body extends Partial<OutcomeView> {
  readonly requestId?: string;
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly field?: string;
    readonly seen?: string;
  };
}

/** The node, as a station speaks with it. It goes by the words of the answer: the node's table may be the newer one. */
export class NodeLink {
  readonly #client: RestClient;
  readonly #now: () => Date;

  constructor(client: RestClient, now: () => Date) {
    this.#client = client;
    this.#now = now;
  }

  /** @throws KeysteadError of the node, or `service.*`. */
  state(): Promise<StateView> {
    return this.#client.get<StateView>(`${ROOT}/`);
  }

  /** @param text as the operator's key signed it. @throws KeysteadError of the node, or `service.*`. */
  signOn(text: string): Promise<StateView> {
    parseSignOn(text);
    return this.#client.post<StateView>(`${ROOT}/sign-on`, { time: this.#time(), signOn: JSON.parse(text) });
  }

  signOff(): Promise<StateView> {
    return this.#client.post<StateView>(`${ROOT}/sign-off`, {});
  }

  /** @param ticket as its file has it. */
  openBatch(ticket: string): Promise<{ ticketId: string; quota: number }> {
    return this.#client.post(`${ROOT}/batches`, { ticket });
  }

  /** What became of a unit. A node that does not answer is a retry, and no error. */
  async unit(v: { deviceId: string; csr: string; ticketId?: string }): Promise<UnitAnswer> {
    try {
      const { body } = await this.#client.ask('POST', `${ROOT}/units`, { ...v, time: this.#time() });
      return answerOf(body);
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      return { outcome: outcomeView(error), detail: error.seen };
    }
  }

  #time = (): string => this.#now().toISOString();
}

/** What an error that was found here is to the operator. */
export const outcomeView = (error: KeysteadError): OutcomeView => {
  const { code, name, result, about, what, todo } = outcomeOfError(error);
  return { code, name, result, about, what, todo };
};

function answerOf(answer: unknown): UnitAnswer {
  const { result, code, name, about, what, todo, error, ...rest } = (answer ?? {}) as Body;
  if (result === undefined || code === undefined || what === undefined || todo === undefined) {
    // Something between here and the node has answered.
    const bad = new KeysteadError('service.bad-answer', { seen: JSON.stringify(answer)?.slice(0, 120) });
    return { outcome: outcomeView(bad), detail: bad.seen };
  }
  const outcome = { result, code, name: name ?? '', about: about ?? 'unit', what, todo };
  const detail =
    error === undefined ? undefined : `${error.code}: ${[error.field, error.seen].filter(Boolean).join(' ')}`;
  return { outcome, detail, ...rest };
}
