import { KeysteadError } from '@keystead/core/errors';
import type { KeydContext } from '../context.ts';
import type { Params, Result } from '../protocol.ts';
import { tellAct } from './commission-factory.ts';

/** The factory nodes of this headquarters, with every order about each of them. */
export async function factories(keyd: KeydContext): Promise<Result<'factories'>> {
  const { factories: known } = keyd.state;
  return {
    factories: known.all().map(({ name, acts, closed }) => ({
      name,
      acts: acts.map(tellAct),
      closed: closed ?? null,
      units: known.count(name),
    })),
  };
}

/** The file of a commission again, for who lost it. @throws KeysteadError `factory.unknown`, `commission.file-lost`. */
export async function factoryCommission(
  keyd: KeydContext,
  { factory, number }: Params<'factoryCommission'>,
): Promise<Result<'factoryCommission'>> {
  const act = keyd.state.factories.get(factory)?.acts.find((one) => one.number === number);
  if (act === undefined) throw new KeysteadError('factory.unknown', { field: 'factory', seen: `${factory} ${number}` });
  return { commission: keyd.commissions.read(act) };
}
